"""Reading a request's body."""

import io
from typing import IO, Any

from rest_framework import status
from rest_framework.exceptions import APIException, ParseError
from rest_framework.parsers import JSONParser

# Room for some ten thousand jobs; one job's command and environment are 64 KiB each.
MAX_BODY_BYTES = 8 * 1024 * 1024


class BodyTooLarge(APIException):
    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_detail = f"the body must be at most {MAX_BODY_BYTES:,} bytes"


class BoundedJSONParser(JSONParser):
    """JSON of a bounded size; what cannot be read is the client's fault, whatever Python calls it."""

    def parse(self, stream: IO[bytes], media_type: str | None = None, parser_context: Any = None) -> Any:
        body = stream.read(MAX_BODY_BYTES + 1)
        if len(body) > MAX_BODY_BYTES:
            raise BodyTooLarge
        try:
            return super().parse(io.BytesIO(body), media_type, parser_context)
        except RecursionError:
            raise ParseError("JSON parse error - nested too deeply") from None
