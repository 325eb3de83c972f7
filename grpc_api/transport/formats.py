"""How the requests of each RPC are decoded, and how large they may be: little more than their documented fields."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from grpc_api.rpcs.cluster_messages import FACTS_LIMIT
from grpc_api.rpcs.messages import MESSAGE_LIMIT
from grpc_api.rpcs.output import MAX_CHUNK
from grpc_api.rpcs.submission import MAX_BATCH
from grpc_api.transport.decoding import decode, decode_content_id, decode_standard
from grpc_api.transport.extensions import extensions_in_reply
from grpc_api.transport.metrics import MethodMetrics
from jobs.reports import MAX_REPORTS

_KIB = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """The most bytes of one request, and the most elements of the field whose decoded elements take the most memory.

    `bearer`: the credential comes in the metadata alone, and so can be checked before the request is decoded.
    `part` is a field, a message, of at most `part_size` bytes.
    """

    size: int = 64 * _KIB
    bearer: bool = True
    repeated: str = ""
    elements: int = 0
    part: str = ""
    part_size: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """`repeated` and `part` are the numbers of the fields that the limit names. `quiet` calls are not logged.

    `extensions` are the fields of the reply that only clients that know them get.
    """

    name: str
    metrics: MethodMetrics
    limit: Limit
    decode: Callable[[bytes], Message]
    decode_large: Callable[[bytes], Message]
    repeated: int = 0
    part: int = 0
    extensions: tuple[str, ...] = ()
    quiet: bool = False


LIMITS = {
    # Clients of the later generation send graphs with it.
    "Register": Limit(size=1024 * _KIB, bearer=False),
    # Command and environment have 64 KiB each, and each variable of the environment some bytes beside its own.
    "SubmitJob": Limit(size=512 * _KIB, bearer=False),
    "RequestJobs": Limit(bearer=False),
    # 50,000 ids of up to eleven bytes.
    "AcceptJobs": Limit(size=1024 * _KIB, bearer=False),
    "Serial": Limit(size=MESSAGE_LIMIT, bearer=False),
    "Stream": Limit(size=MESSAGE_LIMIT, bearer=False),
    "SubmitJobs": Limit(size=MESSAGE_LIMIT, repeated="jobs", elements=MAX_BATCH),
    "SubmitJobStream": Limit(size=MESSAGE_LIMIT, repeated="jobs", elements=MAX_BATCH),
    # 1,000 ids, and the changes, a job.
    "ResubmitJobs": Limit(size=512 * _KIB),
    "GetJobs": Limit(),
    "ListJobs": Limit(),
    # 10,000 ids, and a reason.
    "CancelJobs": Limit(size=256 * _KIB),
    "SummarizeJobs": Limit(),
    "RotateCredential": Limit(),
    "ReportJobs": Limit(
        size=MESSAGE_LIMIT, repeated="reports", elements=MAX_REPORTS, part="facts", part_size=FACTS_LIMIT
    ),
    "WatchJobs": Limit(),
    "SignalJobs": Limit(),
    "AwaitWishes": Limit(),
    "ReadOutput": Limit(),
    # A chunk.
    "SendOutput": Limit(size=MAX_CHUNK + 4 * _KIB),
    "ResumeCluster": Limit(),
    "GetGroup": Limit(),
    "ListGroups": Limit(),
    "CancelGroup": Limit(),
    "ListClusters": Limit(),
    "WhoAmI": Limit(),
    "ListTokens": Limit(),
    "CreateToken": Limit(),
    "RevokeToken": Limit(),
    "RevokeLeaked": Limit(bearer=False),
    "BeginLogin": Limit(bearer=False),
    "CollectLogin": Limit(bearer=False),
    # A MiB of a file.
    "PutInputs": Limit(size=1024 * _KIB + 4 * _KIB),
    "GetInput": Limit(),
}
_TESTS = ("Serial", "Stream")


def format_of(method: MethodDescriptor) -> Format:
    limit, kind = LIMITS[method.name], GetMessageClass(method.input_type)
    read = partial(decode, kind)
    return Format(
        name=method.name,
        metrics=MethodMetrics(method.name),
        limit=limit,
        decode=read,
        decode_large=decode_content_id if method.name in _TESTS else read,
        repeated=_number(method, limit.repeated),
        part=_number(method, limit.part),
        extensions=extensions_in_reply(method),
    )


def _number(method: MethodDescriptor, field: str) -> int:
    return int(method.input_type.fields_by_name[field].number) if field else 0


def standard_format_of(method: MethodDescriptor) -> Format:
    read = partial(decode_standard, GetMessageClass(method.input_type))
    limit = Limit(bearer=False)
    metrics = MethodMetrics(method.full_name)
    return Format(name=method.full_name, metrics=metrics, limit=limit, decode=read, decode_large=read, quiet=True)
