"""Errors as problem documents (RFC 9457): the one table from failures to HTTP status codes."""

import logging
from collections.abc import Iterator
from http import HTTPStatus
from itertools import islice
from typing import Any

from django.core.exceptions import SuspiciousOperation
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse, UnreadablePostError
from django.urls import reverse
from django.views import defaults
from django.views.decorators.csrf import csrf_exempt
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import exception_handler

from rainbow.errors import (
    AlreadyExists,
    DeadlineExceeded,
    FailedPrecondition,
    InvalidArgument,
    LimitReached,
    NotFound,
    PermissionDenied,
    RainbowError,
    ResourceExhausted,
    Unauthenticated,
    Unavailable,
    Unimplemented,
)
from rainbow.telemetry.failures import told
from rainbow.telemetry.lines import Line, Quoted
from rainbow.telemetry.request_ids import request_id_of
from rainbow_site.web.rest.fields import MOST_TOLD

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 1

STATUS: dict[type[RainbowError], HTTPStatus] = {
    InvalidArgument: HTTPStatus.BAD_REQUEST,
    Unauthenticated: HTTPStatus.UNAUTHORIZED,
    PermissionDenied: HTTPStatus.FORBIDDEN,
    NotFound: HTTPStatus.NOT_FOUND,
    AlreadyExists: HTTPStatus.CONFLICT,
    FailedPrecondition: HTTPStatus.CONFLICT,
    ResourceExhausted: HTTPStatus.INSUFFICIENT_STORAGE,
    LimitReached: HTTPStatus.TOO_MANY_REQUESTS,
    Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    DeadlineExceeded: HTTPStatus.GATEWAY_TIMEOUT,
    Unimplemented: HTTPStatus.NOT_IMPLEMENTED,
}

_FAILED = "internal server error; the server's log has the details"
_log = logging.getLogger("rainbow.http")


def problem(status: int, detail: str, *, errors: list[dict[str, str]] | None = None) -> dict[str, Any]:
    """`errors` are the fields at fault."""
    document: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": int(status),
        "detail": detail,
    }
    return {**document, "errors": errors} if errors else document


def answer_failure(error: Exception, context: dict[str, Any]) -> Response:
    """REST framework's exception handler."""
    if isinstance(error, RainbowError):
        response = _from_rainbow(error, context)
    elif isinstance(error, OperationalError | InterfaceError):
        _log.warning(Line("database does not answer", error=Quoted(told(error)), request_id=_request_id(context)))
        response = _from_rainbow(Unavailable("the database does not answer now; try again"), context)
    elif isinstance(error, SuspiciousOperation | UnreadablePostError):
        response = Response(problem(HTTPStatus.BAD_REQUEST, str(error)), status=HTTPStatus.BAD_REQUEST)
    else:
        response = exception_handler(error, context) or _unexpected(error, context)
        response.data = _describe(error, response)
    if response.status_code == HTTPStatus.SERVICE_UNAVAILABLE:
        response["Retry-After"] = str(RETRY_AFTER_SECONDS)
    _set_media_type(response, context)
    return response


def problem_response(status: HTTPStatus, detail: str) -> JsonResponse:
    return JsonResponse(problem(status, detail), status=status, content_type=MEDIA_TYPE)


@csrf_exempt
def not_found(request: HttpRequest) -> JsonResponse:
    return problem_response(HTTPStatus.NOT_FOUND, f"no such path; {reverse('api-docs')} lists the API")


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler400, for foreign hosts and oversized queries."""
    if _for_programs(request):
        return problem_response(HTTPStatus.BAD_REQUEST, str(exception))
    return defaults.bad_request(request, exception)


def server_error(request: HttpRequest) -> HttpResponse:
    """Django's handler500, for unexpected errors outside of REST framework's views."""
    if _for_programs(request):
        return problem_response(HTTPStatus.INTERNAL_SERVER_ERROR, _FAILED)
    return defaults.server_error(request)


def _for_programs(request: HttpRequest) -> bool:
    return request.path.startswith(("/api/", "/iri/"))


def _from_rainbow(error: RainbowError, context: dict[str, Any]) -> Response:
    status = STATUS[type(error)]
    errors = [{"field": error.field, "detail": error.message}] if error.field else None
    response = Response(problem(status, str(error), errors=errors), status=status)
    if status == HTTPStatus.UNAUTHORIZED:
        response["WWW-Authenticate"] = context["view"].get_authenticate_header(context["request"])
    if isinstance(error, LimitReached):
        response["Retry-After"] = str(error.retry_after_seconds)
    return response


def _unexpected(error: Exception, context: dict[str, Any]) -> Response:
    _log.error(Line("unexpected failure", request_id=_request_id(context)), exc_info=error)
    return Response(status=HTTPStatus.INTERNAL_SERVER_ERROR)


def _request_id(context: dict[str, Any]) -> str:
    return request_id_of(context["request"])


def _describe(error: Exception, response: Response) -> dict[str, Any]:
    if isinstance(error, exceptions.ValidationError):
        errors = list(islice(_flatten(error.detail), MOST_TOLD))
        return problem(response.status_code, "the input is not valid", errors=errors)
    if isinstance(error, exceptions.APIException):
        return problem(response.status_code, str(error.detail))
    return problem(response.status_code, HTTPStatus(response.status_code).description or _FAILED)


def _flatten(detail: Any, path: str = "") -> Iterator[dict[str, str]]:
    """Flattens REST framework's nested errors; each names its path, such as jobs.3.nodes."""
    if isinstance(detail, dict):
        for key, value in detail.items():
            yield from _flatten(value, path if key == "non_field_errors" else f"{path}.{key}".lstrip("."))
    elif isinstance(detail, list):
        for place, value in enumerate(detail):
            nested = isinstance(value, dict | list)
            yield from _flatten(value, f"{path}.{place}".lstrip(".") if nested else path)
    else:
        yield {"field": path, "detail": str(detail)}


def _set_media_type(response: Response, context: dict[str, Any]) -> None:
    renderer = getattr(context["request"], "accepted_renderer", None)
    if renderer is None or renderer.format in ("json", "csv"):
        response.content_type = MEDIA_TYPE
