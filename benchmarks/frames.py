"""HTTP/2 as bytes: the frames of a gRPC call (RFC 9113), with headers that are never compressed (RFC 7541)."""

import struct
from collections.abc import Mapping
from enum import IntEnum

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEAD = struct.Struct(">BHBBL")  # the length in three bytes, type, flags, stream
PREFIX = struct.Struct(">BL")  # of a gRPC message: whether it is compressed, its length
ACK, END_STREAM, END_HEADERS = 1, 1, 4
STREAM_BITS = 0x7FFF_FFFF
# What a server lets a call and a connection send before it asks for more, unless it says otherwise.
FIRST_WINDOW = 65_535

_SETTING = struct.Struct(">HL")
_MAX_FRAME = 16 * 1024
_SHORT = 0x7F
# How long a server may take for a call.
_DEADLINE = b"60S"


class Kind(IntEnum):
    DATA = 0
    HEADERS = 1
    PRIORITY = 2
    RST_STREAM = 3
    SETTINGS = 4
    PING = 6
    GOAWAY = 7
    WINDOW_UPDATE = 8
    CONTINUATION = 9


class Setting(IntEnum):
    HEADER_TABLE_SIZE = 1
    INITIAL_WINDOW_SIZE = 4


def frame(kind: int, flags: int, stream: int, payload: bytes | bytearray = b"") -> bytes:
    return HEAD.pack(len(payload) >> 16, len(payload) & 0xFFFF, kind, flags, stream) + payload


def settings(values: dict[Setting, int]) -> bytes:
    return frame(Kind.SETTINGS, 0, 0, b"".join(_SETTING.pack(*item) for item in values.items()))


def settings_in(payload: bytes) -> dict[int, int]:
    return dict(_SETTING.iter_unpack(payload))


def window_update(size: int, *, stream: int = 0) -> bytes:
    return frame(Kind.WINDOW_UPDATE, 0, stream, size.to_bytes(4, "big"))


def headers(authority: str, path: str | bytes, further: Mapping[str, str | bytes] | None = None) -> bytes:
    """The headers of a gRPC call, literally: RFC 7541, sections 6.1 and 6.2.2, and appendix A for the indices."""
    post, http = b"\x83", b"\x86"
    return b"".join(
        [
            post + http,
            b"\x04" + _text(path),
            b"\x01" + _text(authority),
            b"\x0f\x10" + _text("application/grpc"),
            header("te", "trailers"),
            header("grpc-timeout", _DEADLINE),
            *(header(*item) for item in (further or {}).items()),
        ]
    )


def header(name: str, value: str | bytes) -> bytes:
    return b"\0" + _text(name) + _text(value)


def message(data: bytes, *, compressed: bool = False) -> bytes:
    return PREFIX.pack(compressed, len(data)) + data


def data(stream: int, content: bytes) -> bytes:
    parts = [content[start : start + _MAX_FRAME] for start in range(0, len(content), _MAX_FRAME)] or [b""]
    frames = [frame(Kind.DATA, 0, stream, part) for part in parts[:-1]]
    return b"".join([*frames, frame(Kind.DATA, END_STREAM, stream, parts[-1])])


def _text(value: str | bytes) -> bytes:
    content = value.encode() if isinstance(value, str) else value
    return _length(len(content)) + content


def _length(number: int) -> bytes:
    """An integer with a prefix of 7 bits (RFC 7541, section 5.1)."""
    if number < _SHORT:
        return bytes([number])
    number, encoded = number - _SHORT, bytearray([_SHORT])
    while number > _SHORT:
        encoded.append(number & _SHORT | _SHORT + 1)
        number >>= 7
    return bytes([*encoded, number])
