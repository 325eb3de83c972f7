"""waitress's parser, with modern limits, and without what two servers may read differently."""

import re

from waitress.parser import HTTPRequestParser, ParsingError
from waitress.receiver import ChunkedReceiver
from waitress.utilities import BadRequest, Error, RequestHeaderFieldsTooLarge

# A query with 32 labels is long.
MAX_LINE_BYTES = 8_190
MAX_FIELDS = 100
MAX_HEAD_BYTES = 64 * 1024
# Parsing costs by the chunk, on the thread that serves all connections.
_FREE_FRAMING_BYTES = 16 * 1024
_LEAST_SHARE_OF_CONTENT = 0.8
_MAX_CONTROL_LINE_BYTES, _MAX_TRAILER_BYTES = 1_024, 8_192

_FIELD = re.compile(rb"\r\n[^ \t\r\n]")
_VERSIONS = ("1.0", "1.1")


class Request(HTTPRequestParser):  # type: ignore[misc]  # (waitress has no types)
    completed: bool
    error: Error | None

    def parse_header(self, head: bytes) -> None:
        _check_size(head)
        super().parse_header(head)
        self._refuse_ambiguity()

    def received(self, data: bytes) -> int:
        consumed: int = super().received(data)
        receiver = self.body_rcv
        if isinstance(receiver, ChunkedReceiver) and not self.error:
            self.error = _trouble_with_chunks(receiver, self.body_bytes_received)
            self.completed = self.completed or self.error is not None
        return consumed

    @property
    def held_bytes(self) -> int:
        return self.header_bytes_received + self.body_bytes_received  # type: ignore[no-any-return]

    def _refuse_ambiguity(self) -> None:
        """Request smuggling: where proxy and server disagree on the end of a body, its rest is read as a request (RFC
        9112, section 11.2).
        """
        if self.version not in _VERSIONS:
            raise ParsingError("the version must be HTTP/1.0 or HTTP/1.1")
        if self.chunked and "CONTENT_LENGTH" in self.headers:
            raise ParsingError("Transfer-Encoding and Content-Length exclude each other")
        if "TRANSFER_ENCODING" in self.headers:
            raise ParsingError("Transfer-Encoding needs HTTP/1.1")


def _check_size(head: bytes) -> None:
    """Raises ParsingError."""
    if head.find(b"\r\n") > MAX_LINE_BYTES:
        raise ParsingError(f"the request line must be at most {MAX_LINE_BYTES:,} bytes")
    if len(_FIELD.findall(head)) > MAX_FIELDS:
        raise ParsingError(f"there must be at most {MAX_FIELDS} header fields")


def _trouble_with_chunks(receiver: ChunkedReceiver, raw_bytes: int) -> BadRequest | None:
    if len(receiver.control_line) > _MAX_CONTROL_LINE_BYTES:
        return BadRequest("a chunk's size line is too long")
    if len(receiver.trailer) > _MAX_TRAILER_BYTES:
        return RequestHeaderFieldsTooLarge(f"the trailer must be at most {_MAX_TRAILER_BYTES:,} bytes")
    if receiver.__len__() < _LEAST_SHARE_OF_CONTENT * (raw_bytes - _FREE_FRAMING_BYTES):
        return BadRequest("the chunks are too small; send fewer and larger ones, or Content-Length")
    return None
