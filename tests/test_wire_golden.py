"""The descriptor of our proto, held to the tables of the wire contract."""

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto

from rainbow.protos import rainbow_pb2
from tests.support import contract

FILE = rainbow_pb2.DESCRIPTOR
SERVICE = FILE.services_by_name[contract.SERVICE]
NEW_METHODS = [method for method in SERVICE.methods if method.name not in {rpc[0] for rpc in contract.RPCS}]
NEW_MESSAGES = sorted(set(FILE.message_types_by_name) - set(contract.MESSAGES))
SCALARS = {
    FieldDescriptor.TYPE_STRING: "string",
    FieldDescriptor.TYPE_INT32: "int32",
    FieldDescriptor.TYPE_INT64: "int64",
    FieldDescriptor.TYPE_BOOL: "bool",
}


def message(name: str) -> Descriptor:
    return FILE.message_types_by_name[name]


def type_as_written(field: FieldDescriptor) -> str:
    """The type of a field as the contract writes it."""
    if field.message_type and field.message_type.GetOptions().map_entry:
        parts = [type_as_written(field.message_type.fields_by_name[part]) for part in ("key", "value")]
        return f"map<{', '.join(parts)}>"
    other = field.message_type or field.enum_type
    kind = other.name if other else SCALARS[field.type]
    return f"repeated {kind}" if field.is_repeated else kind


def fields_as_written(descriptor: Descriptor) -> list[contract.Field]:
    return sorted(
        contract.Field(number=field.number, name=field.name, type=type_as_written(field)) for field in descriptor.fields
    )


def kind_of(method: MethodDescriptor) -> str:
    kinds = {
        (False, False): contract.UNARY,
        (False, True): "server streaming",
        (True, True): contract.BIDIRECTIONAL,
    }
    return kinds[method.client_streaming, method.server_streaming]


def test_the_file_has_the_syntax_the_package_and_the_imports_of_the_contract() -> None:
    file = FileDescriptorProto()

    FILE.CopyToProto(file)

    assert (file.syntax, file.package) == ("proto3", contract.PACKAGE)
    assert set(file.dependency) == set(contract.IMPORTS)
    assert list(FILE.services_by_name) == [contract.SERVICE]


@pytest.mark.parametrize(("name", "request_name", "response_name", "kind"), contract.RPCS)
def test_a_frozen_call_has_its_name_its_messages_and_its_kind(
    name: str, request_name: str, response_name: str, kind: str
) -> None:
    method = SERVICE.methods_by_name[name]

    assert method.input_type.full_name == f"{contract.PACKAGE}.{request_name}"
    assert method.output_type.full_name == f"{contract.PACKAGE}.{response_name}"
    assert kind_of(method) == kind


@pytest.mark.parametrize("name", contract.MESSAGES)
def test_a_frozen_message_has_the_fields_of_its_table(name: str) -> None:
    fields = [field for field in fields_as_written(message(name)) if field.number < contract.FIRST_EXTENSION]

    assert fields == sorted(contract.fields_of(name))


@pytest.mark.parametrize("name", contract.RESULT_TYPES)
def test_a_result_type_is_nested_in_its_message_and_has_the_values_of_its_table(name: str) -> None:
    values = message(name).enum_types_by_name["ResultType"].values

    assert {value.name: value.number for value in values} == contract.values_of(name)


@pytest.mark.parametrize("name", sorted(set(contract.MESSAGES) - set(contract.RESULT_TYPES)))
def test_a_message_without_a_result_type_in_the_table_has_no_enum(name: str) -> None:
    assert not message(name).enum_types


def test_new_calls_have_messages_of_their_own() -> None:
    names = [(method.name, method.input_type.name, method.output_type.name) for method in NEW_METHODS]

    assert names == [(name, f"{name}Request", f"{name}Response") for name, _, _ in names]
    streams = {method.name for method in NEW_METHODS if kind_of(method) != contract.UNARY}
    assert streams == {"WatchJobs", "SubmitJobStream", "ReadOutput", "SendOutput", "PutInputs"}


@pytest.mark.parametrize("name", sorted([*NEW_MESSAGES, *(method.name for method in NEW_METHODS)]))
def test_a_new_name_is_not_taken_by_the_later_protocol(name: str) -> None:
    taken = {f"{word}{ending}" for word in contract.TAKEN for ending in ("", "Request", "Response")}

    assert name not in taken
