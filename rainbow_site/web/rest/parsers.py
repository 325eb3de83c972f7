import re
from typing import IO, Any

from rest_framework import status
from rest_framework.exceptions import APIException, ParseError
from rest_framework.parsers import BaseParser
from rest_framework.renderers import JSONRenderer
from rest_framework.utils import json

# Room for some ten thousand jobs; one job's command and environment are 64 KiB each.
MAX_BODY_BYTES = 8 * 1024 * 1024

# A parsed value takes ten times its bytes, and is validated by itself. Enough for 10,000 jobs of forty values.
MAX_VALUES = 400_000

# A string, or the rest of the body if it is not terminated; possessive, so that it cannot backtrack.
_TEXT = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
_HALF_A_CHARACTER = re.compile(rb"\\u[dD][89a-fA-F]")


class BodyTooLarge(APIException):
    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_detail = f"the body must be at most {MAX_BODY_BYTES:,} bytes"


class TooManyValues(BodyTooLarge):
    default_detail = f"the body must hold at most {MAX_VALUES:,} values"


class BoundedJSONParser(BaseParser):
    """JSON (RFC 8259) of bounded size. Anything that cannot be parsed is a client error."""

    media_type = "application/json"
    renderer_class = JSONRenderer

    def parse(self, stream: IO[bytes], media_type: str | None = None, parser_context: Any = None) -> Any:
        body = stream.read(MAX_BODY_BYTES + 1)
        if len(body) > MAX_BODY_BYTES:
            raise BodyTooLarge
        if _marks_in(body) > MAX_VALUES and _marks_in(_TEXT.sub(b"", body)) > MAX_VALUES:
            raise TooManyValues
        try:
            return _read(body)
        except RecursionError:
            raise ParseError("the body is not valid JSON: nested too deeply") from None
        except ValueError as error:
            raise ParseError(f"the body is not valid JSON: {error}") from None


def _marks_in(body: bytes) -> int:
    """The number of separators, of which there is about one for each value; those inside strings count, too."""
    return body.count(b",") + body.count(b"[") + body.count(b"{")


def _read(body: bytes) -> Any:
    content = json.loads(body.decode(), parse_constant=json.strict_constant)
    if _HALF_A_CHARACTER.search(body):
        # A lone surrogate can be neither encoded nor stored.
        json.dumps(content, ensure_ascii=False).encode()
    return content
