"""Which generation of the protocol a request is of. The two meet on the paths Register and SubmitJob."""

from collections.abc import Iterator
from typing import Any, NamedTuple, TypeVar

from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import DecodeError, Message
from google.protobuf.unknown_fields import UnknownFieldSet

from grpc_api.later import later_pb2 as later
from grpc_api.transport.decoding import decode, decode_standard
from rainbow.errors import InvalidArgument
from rainbow.protos import rainbow_pb2 as pb

_NUMBER, _TEXT = 0, 2
# What the Timestamp of a first-generation Register begins with: its field 1 or 2, a number.
_BEGINS_A_TIMESTAMP = (0x08, 0x10)
_FIRST_EXTENSION = 20


First = TypeVar("First", bound=Message)
Later = TypeVar("Later", bound=Message)


class _Field(NamedTuple):
    number: int
    wire_type: int
    content: object


def decode_submission(data: bytes) -> pb.SubmitJobRequest | later.SubmitJobRequest:
    """Raises InvalidArgument."""
    try:
        request = decode(pb.SubmitJobRequest, data)
    except InvalidArgument:
        if not is_later_submission(data):
            raise
    else:
        if request.command or not is_later_submission(data):
            return request
    return _decoded(later.SubmitJobRequest, pb.SubmitJobRequest, data)


def decode_registration(data: bytes) -> pb.RegisterRequest | later.RegisterRequest:
    """Raises InvalidArgument."""
    if is_later_registration(data):
        return _decoded(later.RegisterRequest, pb.RegisterRequest, data)
    return decode(pb.RegisterRequest, data)


def _decoded(kind: type[Later], first: type[First], data: bytes) -> First | Later:
    """What is a message of neither is answered as the first generation's."""
    try:
        return decode_standard(kind, data)
    except InvalidArgument:
        return decode(first, data)


def is_later_submission(data: bytes) -> bool:
    """The first generation's field 6 is a command, the later one's a truth value.

    Where a client of the first generation sends no command it is told so: its sizes are numbers, where the later one
    has texts and a mapping, and the jobspec is the later one's field 3.
    """
    fields = list(_fields(data))
    of_first = any(
        (one.number == 6 and one.wire_type == _TEXT)
        or (one.number in (4, 5) and one.wire_type == _NUMBER)
        or one.number >= _FIRST_EXTENSION
        for one in fields
    )
    return not of_first and any(one.number == 3 for one in fields)


def is_later_registration(data: bytes) -> bool:
    """Its fields 4 and 5 are new, and its field 3 is a graph as text."""
    return any(one.number in (4, 5) or _is_graph(one) for one in _fields(data))


def _is_graph(one: _Field) -> bool:
    content = one.content
    if one.number != 3 or not isinstance(content, bytes) or not content:
        return False
    return content[0] not in _BEGINS_A_TIMESTAMP


def _fields(data: bytes) -> Iterator[_Field]:
    """Those at the top; none of bytes that are no message."""
    unknown = Empty()
    try:
        unknown.ParseFromString(data)
    except DecodeError:
        return
    fields: Any = UnknownFieldSet(unknown)
    for one in fields:
        yield _Field(one.field_number, one.wire_type, one.data)
