"""Whether the client of a web request still waits for the answer."""

from collections.abc import Callable, Mapping
from typing import Any, cast

HasGone = Callable[[], bool]


def has_gone_from(environ: Mapping[str, Any]) -> HasGone:
    """Of a WSGI request. Nobody is known to have gone where the web server does not tell."""
    return cast(HasGone, environ.get("waitress.client_disconnected", _unknown))


def _unknown() -> bool:
    return False
