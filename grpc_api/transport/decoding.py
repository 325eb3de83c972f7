"""Decoding requests, with an error that names the field at fault."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar, cast

from google.protobuf import any_pb2, timestamp_pb2
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClassesForFiles
from google.protobuf.unknown_fields import UnknownFieldSet

from grpc_api.transport.scanning import may_hold_long_numbers
from rainbow.errors import InvalidArgument
from rainbow.protos import rainbow_pb2 as pb

M = TypeVar("M", bound=Message)

# To find out what is wrong with a message takes a hundred times as long as to decode it.
_EXPLAINED_BYTES = 64 * 1024
_LENGTH_DELIMITED = 2
_LOWEST, _HIGHEST = -(2**31), 2**31 - 1


def decode(kind: type[M], data: bytes) -> M:
    """The message in these bytes.

    Raises InvalidArgument, with the field's name where a number does not fit 32 bits or, in a message of up to 64 KiB,
    where text is not UTF-8.
    """
    try:
        message = kind.FromString(data)
    except DecodeError:
        raise _explained(kind, data) from None
    # Nearly every client writes the very bytes that we would; those hold no number that was cut short.
    if may_hold_long_numbers(data) and message.SerializeToString() != data:
        _check_numbers(message, data)
    return message


def decode_content_id(data: bytes) -> pb.Request:
    """The part of a connection test that its answer needs. Raises InvalidArgument."""
    try:
        return _BARE_REQUEST.FromString(data)
    except DecodeError:
        raise _explained(pb.Request, data) from None


def decode_standard(kind: type[M], data: bytes) -> M:
    """Raises InvalidArgument."""
    try:
        return kind.FromString(data)
    except DecodeError:
        raise _explained(kind, data) from None


def _explained(kind: type[Message], data: bytes) -> InvalidArgument:
    name = kind.DESCRIPTOR.name
    if len(data) > _EXPLAINED_BYTES:
        return InvalidArgument(f"the request is not a {name}, or has text that is not UTF-8")
    if field := _not_utf8(kind.DESCRIPTOR, data):
        return InvalidArgument("must be valid UTF-8", field=field)
    return InvalidArgument(f"the request is not a {name}")


def _check_numbers(message: Message, data: bytes) -> None:
    """Protobuf cuts a number that is too long for its field down to the lower bits, which is not what was meant."""
    wide = _WIDE[message.DESCRIPTOR.full_name].FromString(data)
    if wide.SerializeToString(deterministic=True) == message.SerializeToString(deterministic=True):
        return
    for field, value in wide.ListFields():
        if _exceeds_32_bits(value):
            raise InvalidArgument(f"must be {_LOWEST:,} to {_HIGHEST:,}", field=field.name)


def _exceeds_32_bits(value: object) -> bool:
    if isinstance(value, int):
        return not _LOWEST <= value <= _HIGHEST
    if isinstance(value, Message):
        ours = value.DESCRIPTOR.file.package == pb.DESCRIPTOR.package
        return ours and any(_exceeds_32_bits(part) for _, part in value.ListFields())
    if isinstance(value, Mapping):
        return any(map(_exceeds_32_bits, (*value.keys(), *value.values())))
    return not isinstance(value, str | bytes) and isinstance(value, Iterable) and any(map(_exceeds_32_bits, value))


def _messages_with(change: Callable[[DescriptorProto], None]) -> dict[str, type[Message]]:
    """The proto's messages by full name, with `change` applied to their descriptors."""
    file = FileDescriptorProto()
    pb.DESCRIPTOR.CopyToProto(file)
    for message in file.message_type:
        change(message)
    pool = DescriptorPool()
    for known in (any_pb2, timestamp_pb2):
        pool.AddSerializedFile(known.DESCRIPTOR.serialized_pb)
    pool.AddSerializedFile(file.SerializeToString())
    return GetMessageClassesForFiles([file.name], pool)


def _widen(message: DescriptorProto) -> None:
    for nested in message.nested_type:
        _widen(nested)
    for field in message.field:
        if field.type in (FieldDescriptorProto.TYPE_INT32, FieldDescriptorProto.TYPE_ENUM):
            field.type = FieldDescriptorProto.TYPE_INT64
            field.ClearField("type_name")


def _bare(message: DescriptorProto) -> None:
    if message.name in ("Request", "Content"):
        kept = [field for field in message.field if field.name in ("content", "id")]
        del message.field[:], message.nested_type[:]
        message.field.extend(kept)


_WIDE = _messages_with(_widen)
_BARE_REQUEST = cast(type[pb.Request], _messages_with(_bare)[pb.Request.DESCRIPTOR.full_name])


def _not_utf8(descriptor: Any, data: bytes) -> str:
    """The first text field that is not UTF-8; empty when there is none, or the bytes are no message."""
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
