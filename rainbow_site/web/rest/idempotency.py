"""The header Idempotency-Key."""

from rest_framework.request import Request

from clusters.validation import check_line
from rainbow.errors import InvalidArgument

KEY_HEADER = "Idempotency-Key"


def key_of(request: Request, *, longest: int) -> str:
    """Empty without the header. Raises InvalidArgument for an empty one, whose sender expects protection."""
    key = request.headers.get(KEY_HEADER)
    if key is None:
        return ""
    if not key.isascii():
        raise InvalidArgument("must be ASCII", field=KEY_HEADER)
    check_line(key, field=KEY_HEADER, longest=longest, required=True)
    return key
