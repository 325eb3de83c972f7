from django.utils import timezone
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from clusters.callers import Caller
from clusters.services.authenticate import admit, note_visits
from jobs.rest.agent_serializers import (
    AcceptanceSerializer,
    AcceptSerializer,
    QueueSerializer,
    ReportedManySerializer,
    ReportManySerializer,
)
from jobs.rest.long_poll import QueueQuerySerializer, QueueRequest, queue_request_from
from jobs.services.accept import accept_jobs
from jobs.services.report import report_jobs
from rainbow_site.web.rest.admission import SECRET, holder, read, shown
from rainbow_site.web.rest.authentication import bearer_in, claim_in
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
        """Returns the cluster's waiting jobs in the order of its queue, without reserving them. Needs its secret.

        With `wait_seconds` the call blocks while the queue is empty.
        """
        caller = holder(request, SECRET, cluster=cluster)
        wanted = queue_request_from(read(QueueQuerySerializer, request.query_params))
        _note_asking(caller, wanted)
        jobs = wanted.jobs_for(caller) or wanted.wait(lambda: _admitted_again(request))
        return Response(shown(QueueSerializer, {"jobs": jobs, "paused": caller.paused_reason}))


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
        """Accepts waiting jobs: each id is accepted, once, or refused with a reason. Needs the secret."""
        caller = holder(request, SECRET, cluster=cluster)
        data = read(AcceptSerializer, request.data)
        acceptance = accept_jobs(caller=caller, job_ids=data.pop("ids"), now=timezone.now(), **data)
        return Response(shown(AcceptanceSerializer, acceptance))


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
        """Reports the states of an agent's jobs, renews their leases, and returns which to stop. Needs the secret.

        Reports may be late, repeated or out of order.
        """
        caller = holder(request, SECRET, cluster=cluster)
        results = report_jobs(caller=caller, now=timezone.now(), **read(ReportManySerializer, request.data))
        return Response(shown(ReportedManySerializer, {"results": results}))


def _admitted_again(request: Request) -> Caller:
    """Authenticates again: while the call waited the credential may have been revoked, or the cluster paused."""
    return admit(claim_in(request, bearer_in(request) or ""), now=timezone.now())


def _note_asking(caller: Caller, wanted: QueueRequest) -> None:
    now = timezone.now()
    if caller.asking_is_worth_noting(now):
        note_visits(used=[], asked={caller.cluster_id: wanted.bounds}, now=now)
