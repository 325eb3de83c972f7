"""Whether the client of a web request still waits for the answer."""

from collections.abc import Callable, Mapping
from typing import Any, cast


def has_gone_from(environ: Mapping[str, Any]) -> Callable[[], bool]:
    """Returns the check for a WSGI request. It is always False where the web server cannot tell."""
    return cast("Callable[[], bool]", environ.get("waitress.client_disconnected", _unknown))


def _unknown() -> bool:
    return False
