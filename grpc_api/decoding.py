"""Reading requests off the wire, so that a broken one is told what is wrong with it."""

from typing import Any, TypeVar

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import DecodeError, Message
from google.protobuf.unknown_fields import UnknownFieldSet

from rainbow.errors import InvalidArgument

M = TypeVar("M", bound=Message)

_LENGTH_DELIMITED = 2


def decode(kind: type[M], data: bytes) -> M:
    """The message in these bytes. Raises InvalidArgument, with the field's name where text is not UTF-8."""
    try:
        return kind.FromString(data)
    except DecodeError:
        field = _not_utf8(kind.DESCRIPTOR, data)
        if field:
            raise InvalidArgument("must be valid UTF-8", field=field) from None
        raise InvalidArgument(f"the request is not a {kind.DESCRIPTOR.name}") from None


def _not_utf8(descriptor: Any, data: bytes) -> str:
    """The first field of text that is not UTF-8; empty when there is none or the bytes are no message at all."""
    unknown = Empty()
    try:
        unknown.ParseFromString(data)
    except DecodeError:
        return ""
    fields: Any = UnknownFieldSet(unknown)
    for item in fields:
        field = descriptor.fields_by_number.get(item.field_number)
        if field is None or item.wire_type != _LENGTH_DELIMITED:
            continue
        if field.type == FieldDescriptor.TYPE_STRING and not _is_utf8(item.data):
            return str(field.name)
        if field.type == FieldDescriptor.TYPE_MESSAGE and _not_utf8(field.message_type, item.data):
            return str(field.name)
    return ""


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
