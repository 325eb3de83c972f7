"""What a cluster's agent does: look at the queue, take jobs, tell how they go."""

from django.utils import timezone
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from clusters.callers import Caller, Claim
from clusters.services.authenticate import admit, note_visits
from jobs.rest.long_poll import Look, QueueQuerySerializer, look_from
from jobs.rest.serializers import (
    AcceptanceSerializer,
    AcceptSerializer,
    QueueSerializer,
    ReportedManySerializer,
    ReportManySerializer,
)
from jobs.services.accept import accept_jobs
from jobs.services.report import report_jobs
from rainbow_site.web.rest.admission import SECRET, holder, read
from rainbow_site.web.rest.authentication import bearer_in
from rainbow_site.web.rest.schema import BY_SECRET, answers

_REPORT = {"id": 12, "attempt": 1, "state": "running", "native_id": "f2x9"}


class Queue(APIView):
    @extend_schema(
        operation_id="request_jobs",
        summary="Request waiting jobs",
        auth=BY_SECRET,
        tags=["queue"],
        parameters=[QueueQuerySerializer],
        responses=answers({200: QueueSerializer}),
    )
    def get(self, request: Request, cluster: str) -> Response:
        """The cluster's waiting jobs in the order of its queue; reserves nothing. Needs its secret.

        With wait_seconds an empty answer is held back until jobs arrive or the time is over.
        """
        caller = holder(request, SECRET, cluster=cluster)
        look = look_from(read(QueueQuerySerializer, request.query_params))
        _note_asking(caller, look)
        jobs = look.at_queue_of(caller) or look.wait(lambda: _admitted_again(request))
        return Response(QueueSerializer({"jobs": jobs, "paused": caller.paused_reason}).data)


class Accept(APIView):
    @extend_schema(
        operation_id="accept_jobs",
        summary="Accept jobs",
        auth=BY_SECRET,
        tags=["queue"],
        request=AcceptSerializer,
        responses=answers({200: AcceptanceSerializer}, body=True),
        examples=[OpenApiExample("two jobs", value={"ids": [12, 13], "agent": "login-1"}, request_only=True)],
    )
    def post(self, request: Request, cluster: str) -> Response:
        """Takes waiting jobs off the queue, and says of each id that it could not take why not. Needs the secret."""
        caller = holder(request, SECRET, cluster=cluster)
        data = read(AcceptSerializer, request.data)
        acceptance = accept_jobs(caller=caller, job_ids=data.pop("ids"), now=timezone.now(), **data)
        return Response(AcceptanceSerializer(acceptance).data)


class Reports(APIView):
    @extend_schema(
        operation_id="report_jobs",
        summary="Report jobs and renew their leases",
        auth=BY_SECRET,
        tags=["queue"],
        request=ReportManySerializer,
        responses=answers({200: ReportedManySerializer}, 409, body=True),
        examples=[OpenApiExample("a start", value={"agent": "login-1", "reports": [_REPORT]}, request_only=True)],
    )
    def post(self, request: Request, cluster: str) -> Response:
        """An agent tells how its jobs go, renews their leases, and learns which to stop. Needs the secret.

        Late, repeated and reordered reports do no harm.
        """
        caller = holder(request, SECRET, cluster=cluster)
        results = report_jobs(caller=caller, now=timezone.now(), **read(ReportManySerializer, request.data))
        return Response(ReportedManySerializer({"results": results}).data)


def _admitted_again(request: Request) -> Caller:
    """While a call waited, its credential may have been revoked, its cluster paused."""
    return admit(Claim(value=bearer_in(request) or ""), now=timezone.now())


def _note_asking(caller: Caller, look: Look) -> None:
    now = timezone.now()
    if caller.asking_is_worth_noting(now):
        note_visits(used=[], asked={caller.cluster_id: look.bounds}, now=now)
