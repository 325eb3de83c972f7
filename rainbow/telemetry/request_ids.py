"""Request ids: one for each call, by which its lines are found in the logs of client, agent and server."""

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

# Of gRPC's metadata; HTTP's header is written X-Request-ID.
KEY = "x-request-id"
# Of the META of Django's requests.
META_KEY = "rainbow.request_id"
TRACE_META_KEY = "rainbow.traceparent"
# Nothing that could write a log of its own, nor a credential that was sent by mistake.
_VALID = re.compile(r"(?!.*rb[ts]_)[A-Za-z0-9._-]{1,64}")
_of_the_caller: ContextVar[str] = ContextVar("request_id", default="")


def is_request_id(text: object) -> bool:
    return isinstance(text, str) and _VALID.fullmatch(text) is not None


def new_request_id() -> str:
    return secrets.token_hex(8)


def request_id_from(offered: object) -> str:
    """The client's, or a new one where it sent none that is valid: 1 to 64 of `A-Z a-z 0-9 . _ -`."""
    return offered if isinstance(offered, str) and is_request_id(offered) else new_request_id()


def request_id_of(http_request: Any) -> str:
    """The id that rainbow_site/web/access_log.py gave a request of Django."""
    return str(http_request.META.get(META_KEY, ""))


@contextmanager
def calls_named(request_id: str = "") -> Iterator[str]:
    """Calls that this thread makes within have this id, or a new one; yields it."""
    token = _of_the_caller.set(request_id_from(request_id))
    try:
        yield _of_the_caller.get()
    finally:
        _of_the_caller.reset(token)


def next_request_id() -> str:
    """The id for a call that begins now."""
    return _of_the_caller.get() or new_request_id()
