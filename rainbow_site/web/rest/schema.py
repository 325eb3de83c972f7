from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from drf_spectacular.extensions import OpenApiSerializerFieldExtension
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
    401: "The credential is missing, not valid, or not good for this call.",
    403: "The account lacks the permission for this call.",
    404: "It does not exist, or the caller may not see it.",
    409: "The call conflicts with the current state.",
    413: "The body is too large.",
    415: "The body must be JSON.",
    429: "A limit of the person or project is reached, or too many credentials from this address or for this cluster "
    "were refused; wait as Retry-After says.",
    503: "The server cannot serve now; try again as Retry-After says.",
    507: "The job ids are used up.",
}
# Security requirements; rainbow_site/web/schema_hooks.py defines the schemes.
BY_TOKEN: list[Any] = [{"token": []}]
BY_SECRET: list[Any] = [{"secret": []}]
BY_PERSON: list[Any] = [{"personal_token": []}, {"person": []}]
BY_OPERATOR: list[Any] = [{"operator": []}]
BY_ANYBODY: list[Any] = [*BY_TOKEN, *BY_SECRET, *BY_OPERATOR]
BY_REGISTRATION_SECRET: list[Any] = [{"registration_secret": []}]

ALWAYS = (400, 401, 403, 404, 406, 429, 503)
WITH_BODY = (413, 415)


def answers(success: Mapping[Any, Any], *further: int, body: bool = False) -> dict[Any, Any]:
    """The responses of an operation: the successes, and the problem documents it may answer with."""
    codes = {*ALWAYS, *(WITH_BODY if body else ()), *further}
    problems = {
        (code, "application/problem+json"): OpenApiResponse(
            ProblemSerializer, _WORDS.get(code, HTTPStatus(code).phrase)
        )
        for code in sorted(codes)
    }
    return {**success, **problems}


class TextExtension(OpenApiSerializerFieldExtension):  # type: ignore[no-untyped-call]
    target_class = "rainbow_site.web.rest.fields.Text"
    match_subclasses = True

    def map_serializer_field(self, auto_schema: Any, direction: Any) -> dict[str, Any]:
        known = auto_schema._map_serializer_field(self.target, direction, bypass_extensions=True)
        return {**known, **({"pattern": self.target.pattern} if self.target.pattern else {})}


class MappingExtension(OpenApiSerializerFieldExtension):  # type: ignore[no-untyped-call]
    target_class = "rainbow_site.web.rest.fields.Mapping"
    match_subclasses = True

    def map_serializer_field(self, auto_schema: Any, direction: Any) -> dict[str, Any]:
        known = auto_schema._map_serializer_field(self.target, direction, bypass_extensions=True)
        most = {"maxProperties": self.target.most} if self.target.most else {}
        return {**known, "propertyNames": {"pattern": self.target.names}, **most}
