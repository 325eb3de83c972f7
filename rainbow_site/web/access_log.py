"""One log line for each HTTP request, like the gRPC server's for each call."""

import logging
import time
from collections.abc import Callable
from http import HTTPStatus

from django.http import HttpRequest, HttpResponseBase
from django.utils.encoding import escape_uri_path

from clusters.callers import Caller
from rainbow.telemetry import traces
from rainbow.telemetry.lines import Line, Quoted, without_credentials
from rainbow.telemetry.request_ids import KEY, META_KEY, TRACE_META_KEY, request_id_from, request_id_of
from rainbow_site.web.metrics import count_request, method_of
from rainbow_site.web.rest.addresses import address_of

Answer = Callable[[HttpRequest], HttpResponseBase]

# Queries are not logged at all.
_LONGEST_PATH = 200
# Polled by probes every few seconds.
_QUIET = ("/healthz", "/readyz")
_SAFE = ("GET", "HEAD", "OPTIONS")
_log = logging.getLogger("rainbow.http")


def log_requests(answer: Answer) -> Answer:
    def log_and_answer(request: HttpRequest) -> HttpResponseBase:
        began = time.perf_counter()
        request_id = request.META[META_KEY] = request_id_from(request.headers.get(KEY))
        span = _span(request)
        request.META[TRACE_META_KEY] = span.traceparent
        response = answer(request)
        _end(span, response.status_code, request_id)
        response[KEY] = request_id
        seconds = time.perf_counter() - began
        count_request(request, response.status_code, seconds)
        if request.path not in _QUIET and _log.isEnabledFor(logging.INFO):
            _write(request, response.status_code, seconds)
        return response

    return log_and_answer


def _span(request: HttpRequest) -> traces.Span:
    if request.path in _QUIET:
        return traces.NO_SPAN
    return traces.begin(f"HTTP {method_of(request)}", "server", parent=request.headers.get(traces.KEY, ""))


def _end(span: traces.Span, status: int, request_id: str) -> None:
    failed = status >= HTTPStatus.INTERNAL_SERVER_ERROR
    span.end(error=str(status) if failed else "", attributes={"request_id": request_id, "status": status})


def _write(request: HttpRequest, status: int, seconds: float) -> None:
    path = without_credentials(escape_uri_path(request.path))[:_LONGEST_PATH]
    tells_peer = status >= 400 or request.method not in _SAFE
    _log.info(
        Line(
            "request",
            ("method", "path"),
            method=request.method,
            path=path,
            **_who(request),
            peer=address_of(request) if tells_peer else None,
            status=status,
            ms=seconds * 1000,
            request_id=request_id_of(request),
        )
    )


def _who(request: HttpRequest) -> dict[str, object]:
    """The account, or what the credential is of."""
    caller, person = getattr(request, "auth", None), getattr(request, "_cached_user", None)
    if isinstance(caller, Caller):
        return {"cluster": caller.cluster, **caller.logged}
    return {"user": Quoted(person.get_username())} if person and person.is_authenticated else {}
