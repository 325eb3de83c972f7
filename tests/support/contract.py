"""The tables of the wire contract that published clients speak, written out: nothing here comes from our proto."""

from collections.abc import Iterator
from dataclasses import dataclass

from google.protobuf import any_pb2, descriptor_pb2, timestamp_pb2

PACKAGE = "convergedcomputing.org.grpc.v1"
SERVICE = "RainbowScheduler"
IMPORTS = ("google/protobuf/any.proto", "google/protobuf/timestamp.proto")

UNARY, BIDIRECTIONAL = "unary", "bidirectional"
# (name, request, response, kind)
RPCS = [
    ("Register", "RegisterRequest", "RegisterResponse", UNARY),
    ("SubmitJob", "SubmitJobRequest", "SubmitJobResponse", UNARY),
    ("RequestJobs", "RequestJobsRequest", "RequestJobsResponse", UNARY),
    ("AcceptJobs", "AcceptJobsRequest", "AcceptJobsResponse", UNARY),
    ("Serial", "Request", "Response", UNARY),
    ("Stream", "Request", "Response", BIDIRECTIONAL),
]

# Fields as the contract writes them: number name type.
MESSAGES = {
    "RegisterRequest": "1 name string · 2 secret string · 3 sent Timestamp",
    "RegisterResponse": "1 request_id string · 2 token string · 3 secret string · 4 status ResultType",
    "SubmitJobRequest": (
        "1 name string · 2 cluster string · 3 token string · 4 nodes int32 · 5 tasks int32 · 6 command string"
        " · 7 sent Timestamp"
    ),
    "SubmitJobResponse": "1 request_id string · 2 jobid int32 · 3 status ResultType",
    "RequestJobsRequest": "1 cluster string · 2 secret string · 3 maxJobs int32 · 7 sent Timestamp",
    "RequestJobsResponse": "1 request_id string · 2 jobs map<int32, string> · 3 status ResultType",
    "AcceptJobsRequest": "1 cluster string · 2 secret string · 3 jobids repeated int32 · 4 sent Timestamp",
    "AcceptJobsResponse": "1 status ResultType",
    "Content": "1 id string · 2 data Any · 3 metadata map<string, string>",
    "Request": "1 content Content · 2 sent Timestamp",
    "Response": (
        "1 request_id string · 2 message_count int64 · 3 messages_processed int64 · 4 processing_details string"
    ),
}

# The values of the enum ResultType that is nested in each of these messages.
RESULT_TYPES = {
    "RegisterResponse": (
        "REGISTER_UNSPECIFIED 0 · REGISTER_SUCCESS 1 · REGISTER_ERROR 2 · REGISTER_DENIED 3 · REGISTER_EXISTS 4"
    ),
    "SubmitJobResponse": "SUBMIT_UNSPECIFIED 0 · SUBMIT_SUCCESS 1 · SUBMIT_ERROR 2 · SUBMIT_DENIED 3",
    "RequestJobsResponse": (
        "REQUEST_JOBS_NORESULTS 0 · REQUEST_JOBS_SUCCESS 1 · REQUEST_JOBS_ERROR 2 · REQUEST_JOBS_DENIED 3"
    ),
    "AcceptJobsResponse": (
        "RESULT_TYPE_UNSPECIFIED 0 · RESULT_TYPE_PARTIAL 1 · RESULT_TYPE_SUCCESS 2 · RESULT_TYPE_ERROR 3"
    ),
    "Response": "RESULT_TYPE_UNSPECIFIED 0 · RESULT_TYPE_SUCCESS 1 · RESULT_TYPE_ERROR 2",
}

# Names that a later generation of the protocol took.
TAKEN = {"Delete", "DeleteSubsystem", "RegisterSubsystem", "UpdateState", "ReceiveJobs"}
FIRST_EXTENSION = 20

_SCALARS = {"string": "TYPE_STRING", "int32": "TYPE_INT32", "int64": "TYPE_INT64"}


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Field:
    number: int
    name: str
    type: str


def fields_of(message: str) -> list[Field]:
    return [_field(text) for text in MESSAGES[message].split(" · ")]


def values_of(message: str) -> dict[str, int]:
    pairs = (text.split(" ") for text in RESULT_TYPES[message].split(" · "))
    return {name: int(number) for name, number in pairs}


def file_of_the_tables() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(
        name="contract.proto", package=PACKAGE, syntax="proto3", dependency=IMPORTS
    )
    for message in MESSAGES:
        _add_message(file.message_type.add(name=message), message)
    return file


def _field(text: str) -> Field:
    number, name, type = text.split(" ", 2)
    return Field(number=int(number), name=name, type=type)


def _add_message(target: descriptor_pb2.DescriptorProto, message: str) -> None:
    if message in RESULT_TYPES:
        enum = target.enum_type.add(name="ResultType")
        for name, number in values_of(message).items():
            enum.value.add(name=name, number=number)
    for field in fields_of(message):
        _add_field(target, field)


def _add_field(target: descriptor_pb2.DescriptorProto, field: Field) -> None:
    kinds = descriptor_pb2.FieldDescriptorProto
    added = target.field.add(name=field.name, number=field.number, label=kinds.LABEL_OPTIONAL)
    if field.type.startswith("map<"):
        entry = _add_map_entry(target, field)
        added.label, added.type, added.type_name = kinds.LABEL_REPEATED, kinds.TYPE_MESSAGE, entry
        return
    if field.type.startswith("repeated "):
        added.label = kinds.LABEL_REPEATED
    kind = field.type.removeprefix("repeated ")
    if kind in _SCALARS:
        added.type = kinds.Type.Value(_SCALARS[kind])
    else:
        added.type = kinds.TYPE_ENUM if kind == "ResultType" else kinds.TYPE_MESSAGE
        added.type_name = _full_name(kind, target.name)


def _add_map_entry(target: descriptor_pb2.DescriptorProto, field: Field) -> str:
    """The nested message that a map is on the wire; gives its full name."""
    name = f"{field.name.capitalize()}Entry"
    entry = target.nested_type.add(name=name)
    entry.options.map_entry = True
    for number, (part, kind) in enumerate(_map_parts(field.type), start=1):
        _add_field(entry, Field(number=number, name=part, type=kind))
    return f".{PACKAGE}.{target.name}.{name}"


def _map_parts(kind: str) -> Iterator[tuple[str, str]]:
    return zip(("key", "value"), kind.removeprefix("map<").removesuffix(">").split(", "), strict=True)


def _full_name(kind: str, message: str) -> str:
    if kind == "ResultType":
        return f".{PACKAGE}.{message}.ResultType"
    known = {"Timestamp": timestamp_pb2.Timestamp.DESCRIPTOR, "Any": any_pb2.Any.DESCRIPTOR}
    return f".{known[kind].full_name}" if kind in known else f".{PACKAGE}.{kind}"
