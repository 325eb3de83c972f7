"""Changes to waiting jobs that only operators may make."""

from collections.abc import Sequence

from django.utils import timezone
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from jobs.rest.permissions import ACT
from jobs.rest.serializers import ChangeResultsSerializer, MoveSerializer, PrioritizeSerializer
from jobs.services.change_result import ChangeResult
from jobs.services.move import move_jobs
from jobs.services.priority import change_priority
from rainbow_site.web.rest.admission import admitted_operator, cluster_named, read, shown
from rainbow_site.web.rest.schema import BY_OPERATOR, answers

_URGENT = {"ids": [12, 13], "priority": 50, "reason": "the deadline is tonight"}
_AWAY = {"ids": [12, 13], "cluster": "oreo", "reason": "keebler is full"}


class Prioritize(APIView):
    @extend_schema(
        operation_id="prioritize_jobs",
        summary="Change the priority of jobs",
        auth=BY_OPERATOR,
        tags=["jobs"],
        request=PrioritizeSerializer,
        responses=answers({200: ChangeResultsSerializer}, body=True),
        examples=[OpenApiExample("urgent jobs", value=_URGENT, request_only=True)],
    )
    def post(self, request: Request) -> Response:
        """Changes the priority of up to 10,000 waiting jobs, with a result for each. Needs an operator."""
        by = admitted_operator(request, staff=ACT)
        data = read(PrioritizeSerializer, request.data)
        return _answer(change_priority(by=by, job_ids=data.pop("ids"), now=timezone.now(), **data))


class Move(APIView):
    @extend_schema(
        operation_id="move_jobs",
        summary="Move jobs to another cluster",
        auth=BY_OPERATOR,
        tags=["jobs"],
        request=MoveSerializer,
        responses=answers({200: ChangeResultsSerializer}, body=True),
        examples=[OpenApiExample("to another cluster", value=_AWAY, request_only=True)],
    )
    def post(self, request: Request) -> Response:
        """Moves up to 10,000 waiting jobs to the queue of another cluster or pool, with a result for each.

        Needs an operator.
        """
        by = admitted_operator(request, staff=ACT)
        data = read(MoveSerializer, request.data)
        cluster = cluster_named(data["cluster"])
        results = move_jobs(
            by=by, job_ids=data["ids"], cluster_id=cluster.id, reason=data["reason"], now=timezone.now()
        )
        return _answer(results)


def _answer(results: Sequence[ChangeResult]) -> Response:
    return Response(shown(ChangeResultsSerializer, {"results": results}))
