"""Files that jobs are submitted with."""

import base64
from collections.abc import Callable
from typing import TypeVar

from django.utils import timezone
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from jobs.services.inputs import keep_input
from jobs.spec_rules import MAX_INPUTS_BYTES
from rainbow.errors import InvalidArgument
from rainbow_site.web.rest.admission import SUBMITTERS, holder, read, shown
from rainbow_site.web.rest.fields import CLUSTER_NAME, Input, Text
from rainbow_site.web.rest.schema import BY_TOKEN, answers

F = TypeVar("F", bound=Callable[..., Response])

# Four characters for each three bytes.
_LONGEST = (MAX_INPUTS_BYTES + 2) // 3 * 4


class PutInputSerializer(Input):
    content = Text(
        max_length=_LONGEST,
        pattern=r"^[A-Za-z0-9+/]*={0,2}$",
        allow_blank=True,
        help_text="the file's bytes in base64 (RFC 4648); up to 4 MiB",
    )
    project = Text(
        pattern=rf"^({CLUSTER_NAME})?$",
        allow_blank=True,
        default="",
        help_text="the project that it is kept for, of a person's token; empty means the only one that may use the"
        " cluster",
    )


class KeptInputSerializer(serializers.Serializer[object]):
    sha256 = serializers.CharField(help_text="by which the `inputs` of jobs name it")
    size = serializers.IntegerField(help_text="in bytes")
    kept_until = serializers.DateTimeField(source="until", help_text="it is kept at least until then")


def _described(operation_id: str, summary: str) -> Callable[[F], F]:
    return extend_schema(
        operation_id=operation_id,
        summary=summary,
        auth=BY_TOKEN,
        tags=["jobs"],
        request=PutInputSerializer,
        responses=answers({201: KeptInputSerializer}, 507, body=True),
        examples=[OpenApiExample("a file", value={"content": "eCx5CjEsMgo="}, request_only=True)],
    )


class Inputs(APIView):
    @_described("put_input", "Keep a file for jobs")
    def post(self, request: Request) -> Response:
        """Keeps a file for jobs that are submitted next, whose `inputs` name it by its SHA-256. It may be repeated."""
        return _kept(request)


class InputsOf(APIView):
    @_described("put_input_for", "Keep a file for jobs of a cluster or pool")
    def post(self, request: Request, cluster: str) -> Response:
        """The same for a token of a person or a project, which may use several clusters."""
        return _kept(request, cluster=cluster)


def _kept(request: Request, *, cluster: str | None = None) -> Response:
    by = holder(request, SUBMITTERS, cluster=cluster)
    said = read(PutInputSerializer, request.data)
    try:
        content = base64.b64decode(said["content"], validate=True)
    except ValueError as error:
        raise InvalidArgument("must be base64", field="content") from error
    kept = keep_input(caller=by, project=said["project"], content=content, now=timezone.now())
    return Response(shown(KeptInputSerializer, kept), status=status.HTTP_201_CREATED)
