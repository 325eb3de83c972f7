"""Entity tags of answers in JSON that are not read before they are compared (RFC 9110, section 13.1.2)."""

import hashlib
from collections.abc import Callable, Sequence

from django.utils.http import parse_etags
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from rainbow import __version__

# A weak one in a request matches, too (RFC 9110, section 8.8.3.2).
_WEAK = "W/"


def entity_tag(request: Request, shown: Sequence[str]) -> str:
    """Of the answer to this request that shows this, each without a line break, in the form that is asked for."""
    # Another release may write it in another way.
    said = "\n".join([__version__, request.accepted_media_type or "", *shown])
    return f'"{hashlib.sha256(said.encode()).hexdigest()[:32]}"'


def not_modified(request: Request, shown: Callable[[], Sequence[str]]) -> Response | None:
    """The answer to a caller who has what is shown; None to one who has not, or wants a page for a browser."""
    tags = parse_etags(request.headers.get("If-None-Match", ""))
    if not tags or request.accepted_renderer.format != "json":
        return None
    tag = entity_tag(request, shown())
    if "*" not in tags and tag not in {one.removeprefix(_WEAK) for one in tags}:
        return None
    return Response(status=status.HTTP_304_NOT_MODIFIED, headers={"ETag": tag})
