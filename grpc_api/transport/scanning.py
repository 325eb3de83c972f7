"""Scanning a message's bytes without decoding them (https://protobuf.dev/programming-guides/encoding/)."""

from collections.abc import Iterator

_VARINT, _FIXED_64, _LENGTH_DELIMITED, _FIXED_32 = 0, 1, 2, 5
_FIXED_SIZES = {_FIXED_64: 8, _FIXED_32: 4}
# Maps each byte to whether a varint goes on after it.
_GOES_ON = bytes([0] * 128 + [1] * 128)
# A number of more than 28 bits takes five bytes, of which four go on.
_LONG_NUMBER = b"\1\1\1\1"


def may_hold_long_numbers(data: bytes) -> bool:
    """Whether there may be a number that does not fit 32 bits. Text beyond ASCII may be taken for one."""
    return _LONG_NUMBER in data.translate(_GOES_ON)


def count_fields(data: bytes, number: int, *, most: int) -> int:
    """How many fields of this number the message has at its top level, up to `most` + 1.

    Bounded in time by `most`: more than `most` other fields count as well. Bytes that are no message have the fields
    before the first that cannot be read.
    """
    count = others = 0
    for found, _ in _fields(data):
        if found == number:
            count += 1
        else:
            others += 1
        if max(count, others) > most:
            break
    return max(count, others if others > most else 0)


def bytes_of_field(data: bytes, number: int) -> int:
    """The bytes of all fields of this number at the top level: of a message in several pieces, one is made."""
    return sum(size for found, size in _fields(data) if found == number)


def _fields(data: bytes) -> Iterator[tuple[int, int]]:
    """The number and the size, with what precedes the content, of each field before the first that cannot be read."""
    position = 0
    while position < len(data):
        try:
            tag, begins = _varint(data, position)
            end = _after(data, begins, tag & 7)
        except (IndexError, _Broken):
            return
        yield tag >> 3, end - position
        position = end


class _Broken(Exception):
    """The bytes are no message."""


def _after(data: bytes, position: int, kind: int) -> int:
    if kind == _LENGTH_DELIMITED:
        length, position = _varint(data, position)
        return position + length
    if kind == _VARINT:
        return _varint(data, position)[1]
    if kind not in _FIXED_SIZES:
        raise _Broken
    return position + _FIXED_SIZES[kind]


def _varint(data: bytes, position: int) -> tuple[int, int]:
    number = data[position]
    if number < 128:
        return number, position + 1
    number, shift = number & 127, 7
    while True:
        position += 1
        byte = data[position]
        number |= (byte & 127) << shift
        if byte < 128:
            return number, position + 1
        shift += 7
        if shift > 63:
            raise _Broken
