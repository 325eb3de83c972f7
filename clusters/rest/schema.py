"""What the OpenAPI schema says of every operation."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.utils import OpenApiResponse
from rest_framework import serializers


class InputErrorSerializer(serializers.Serializer[object]):
    field = serializers.CharField(help_text="the path of the input at fault, such as jobs.3.nodes")
    detail = serializers.CharField()


class ProblemSerializer(serializers.Serializer[object]):
    """A problem document (RFC 9457)."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField()
    errors = InputErrorSerializer(many=True, required=False)  # type: ignore[assignment]


_WORDS = {
    400: "The input is not valid.",
    401: "No credential, or one that does not serve here.",
    403: "This account may not do this.",
    404: "There is no such thing, or it is somebody else's.",
    409: "Something else stands in the way.",
    413: "The body is too large.",
    415: "The body must be JSON.",
    429: "Too many refused credentials from this address or for this cluster; wait as Retry-After says.",
    503: "The server cannot serve now; try again as Retry-After says.",
    507: "The job ids are used up.",
}
ALWAYS = (400, 401, 403, 404, 406, 429, 503)
WITH_BODY = (413, 415)


def answers(success: Mapping[int, Any], *further: int, body: bool = False) -> dict[Any, Any]:
    """The responses of an operation: its successes, and the problem documents that it may answer with."""
    codes = {*ALWAYS, *(WITH_BODY if body else ()), *further}
    problems = {
        (code, "application/problem+json"): OpenApiResponse(
            ProblemSerializer, _WORDS.get(code, HTTPStatus(code).phrase)
        )
        for code in sorted(codes)
    }
    return {**success, **problems}


class BearerScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "clusters.rest.authentication.BearerAuthentication"
    name = "credential"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {
            "type": "http",
            "scheme": "bearer",
            "description": "A cluster's token (to submit) or its secret (to pull).",
        }


class RegistrationScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "clusters.rest.authentication.RegistrationAuthentication"
    name = "registration secret"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "description": "The server's registration secret."}
