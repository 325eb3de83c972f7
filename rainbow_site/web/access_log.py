"""One log line for each HTTP request, like the gRPC server's for each call."""

import logging
import re
import time
from collections.abc import Callable

from django.http import HttpRequest, HttpResponseBase
from django.utils.encoding import escape_uri_path

from clusters.callers import Caller
from clusters.visible import quoted
from rainbow_site.web.metrics import count_request
from rainbow_site.web.rest.addresses import address_of

Answer = Callable[[HttpRequest], HttpResponseBase]

# Paths may contain a credential by mistake. Queries are not logged at all.
_CREDENTIAL = re.compile(r"rb[ts]_[\w-]+")
_LONGEST_PATH = 200
# Polled by probes every few seconds.
_QUIET = ("/healthz", "/readyz")
_SAFE = ("GET", "HEAD", "OPTIONS")
_log = logging.getLogger("rainbow.http")


def log_requests(answer: Answer) -> Answer:
    def log_and_answer(request: HttpRequest) -> HttpResponseBase:
        began = time.perf_counter()
        response = answer(request)
        seconds = time.perf_counter() - began
        count_request(request, response.status_code, seconds)
        if request.path not in _QUIET and _log.isEnabledFor(logging.INFO):
            _write(request, response.status_code, seconds)
        return response

    return log_and_answer


def without_credentials(text: str) -> str:
    return _CREDENTIAL.sub("(credential)", text)


def _write(request: HttpRequest, status: int, seconds: float) -> None:
    path = without_credentials(escape_uri_path(request.path))[:_LONGEST_PATH]
    changes = request.method not in _SAFE
    peer = f" peer={address_of(request)}" if status >= 400 or changes else ""
    _log.info("%s %s%s%s status=%d ms=%.1f", request.method, path, _who(request), peer, status, seconds * 1000)


def _who(request: HttpRequest) -> str:
    """The account, or the cluster and its credential with its issuer."""
    caller, person = getattr(request, "auth", None), getattr(request, "_cached_user", None)
    if isinstance(caller, Caller):
        return f" cluster={caller.cluster}" + "".join(f" {name}={value}" for name, value in caller.issue.items())
    return f" user={quoted(person.get_username())}" if person and person.is_authenticated else ""
