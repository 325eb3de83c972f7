"""gRPC's messages in the body of a request, each behind a flag and its length (PROTOCOL-HTTP2, "Requests")."""

import struct

from grpc_api.rpcs.messages import MESSAGE_LIMIT
from rainbow.errors import InvalidArgument, ResourceExhausted, Unimplemented

_HEAD = struct.Struct(">?I")
_COMPRESSED = 1


def frame(message: bytes) -> bytes:
    return _HEAD.pack(False, len(message)) + message


class Frames:
    """Takes a body in pieces and gives its messages. A message is refused by its head, before its bytes are kept."""

    def __init__(self) -> None:
        self._data = bytearray()

    @property
    def size(self) -> int:
        return len(self._data)

    def add(self, data: bytes) -> None:
        self._data += data

    def message(self) -> bytes | None:
        """The next, once all of it is there. Raises InvalidArgument, ResourceExhausted and Unimplemented."""
        data = self._data
        if len(data) < _HEAD.size:
            return None
        size = _size_in(data)
        end = _HEAD.size + size
        if len(data) < end:
            return None
        message = bytes(memoryview(data)[_HEAD.size : end])
        del data[:end]
        return message


def _size_in(data: bytearray) -> int:
    if data[0] > _COMPRESSED:
        raise InvalidArgument("the request is not a gRPC message")
    if data[0] == _COMPRESSED:
        raise Unimplemented("this server takes no compressed requests; send them without compression")
    size = int.from_bytes(data[1 : _HEAD.size])
    if size > MESSAGE_LIMIT:
        raise ResourceExhausted(f"the request has {size:,} bytes; the server takes at most {MESSAGE_LIMIT:,}")
    return size
