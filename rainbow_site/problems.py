"""The one table from failures to HTTP, as problem documents (RFC 9457)."""

import logging
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, JsonResponse
from django.urls import reverse
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import exception_handler

from rainbow.errors import (
    AlreadyExists,
    DeadlineExceeded,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    RainbowError,
    ResourceExhausted,
    Unauthenticated,
    Unavailable,
    Unimplemented,
)

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
    Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    DeadlineExceeded: HTTPStatus.GATEWAY_TIMEOUT,
    Unimplemented: HTTPStatus.NOT_IMPLEMENTED,
}

_log = logging.getLogger("rainbow.http")


def problem(status: int, detail: str, *, errors: list[dict[str, str]] | None = None) -> dict[str, Any]:
    """`errors` names the inputs at fault, each with what is wrong with it."""
    document: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": int(status),
        "detail": detail,
    }
    return {**document, "errors": errors} if errors else document


def answer_failure(error: Exception, context: dict[str, Any]) -> Response:
    """REST framework's exception handler: every failure becomes a problem document."""
    if isinstance(error, RainbowError):
        response = _from_rainbow(error, context)
    elif isinstance(error, OperationalError | InterfaceError):
        _log.warning("database does not answer error=%r", str(error))
        response = _from_rainbow(Unavailable("the database does not answer now; try again"), context)
    else:
        response = exception_handler(error, context) or _unexpected(error)
        response.data = _describe(error, response)
    if response.status_code == HTTPStatus.SERVICE_UNAVAILABLE:
        response["Retry-After"] = str(RETRY_AFTER_SECONDS)
    _set_media_type(response, context)
    return response


def not_found(request: HttpRequest, rest: str = "") -> JsonResponse:
    """The answer under /api/ where nothing is."""
    document = problem(HTTPStatus.NOT_FOUND, f"nothing is here; {reverse('api-docs')} shows what there is")
    return JsonResponse(document, status=HTTPStatus.NOT_FOUND, content_type=MEDIA_TYPE)


def _from_rainbow(error: RainbowError, context: dict[str, Any]) -> Response:
    status = STATUS[type(error)]
    errors = [{"field": error.field, "detail": error.message}] if error.field else None
    response = Response(problem(status, str(error), errors=errors), status=status)
    if status == HTTPStatus.UNAUTHORIZED:
        response["WWW-Authenticate"] = context["view"].get_authenticate_header(context["request"])
    return response


def _unexpected(error: Exception) -> Response:
    _log.error("unexpected failure", exc_info=error)
    return Response(status=HTTPStatus.INTERNAL_SERVER_ERROR)


def _describe(error: Exception, response: Response) -> dict[str, Any]:
    if isinstance(error, exceptions.ValidationError):
        errors = list(_flatten(error.detail))
        return problem(response.status_code, "some of the input is not valid", errors=errors)
    if isinstance(error, exceptions.APIException):
        return problem(response.status_code, str(error.detail))
    return problem(response.status_code, HTTPStatus(response.status_code).description or "the server failed")


def _flatten(detail: Any, path: str = "") -> Iterator[dict[str, str]]:
    """REST framework nests its errors as the input is nested; here each one names its path: jobs.3.nodes."""
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
    if renderer is None or renderer.format == "json":
        response.content_type = MEDIA_TYPE
