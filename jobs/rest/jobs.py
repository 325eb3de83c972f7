from functools import cache
from typing import Any
from urllib.parse import urlencode

from django.utils import timezone
from django.utils.decorators import method_decorator
from django.views.decorators.http import conditional_page
from django_filters.rest_framework import DjangoFilterBackend
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from clusters.callers import Caller, Operator
from jobs.models import MAX_ID, Job
from jobs.outcomes import CancelOutcome, SignalOutcome
from jobs.queries.explain import explain_found
from jobs.queries.found_job import FoundJob, read_versions
from jobs.queries.lookup import find_ids, get_jobs
from jobs.rest.filters import JobFilter, search_from
from jobs.rest.job_rows import write_jobs
from jobs.rest.job_serializers import WAIT, WITH_CONTENT, JobSerializer
from jobs.rest.permissions import ACT, VIEW, sees_content
from jobs.rest.serializers import (
    CancelManySerializer,
    EventSerializer,
    JobPageSerializer,
    OutcomeSerializer,
    OutcomesSerializer,
    SignalSerializer,
)
from jobs.rest.spec_serializers import JobSpecSerializer
from jobs.rest.submission import Submission
from jobs.services.cancel import cancel_jobs
from jobs.services.requeue import requeue_jobs
from jobs.services.signal import signal_jobs
from rainbow.errors import NO_SUCH_JOB, FailedPrecondition, NotFound
from rainbow_site.web.rest.admission import ANY, SECRET, admitted, read, shown
from rainbow_site.web.rest.conditional import entity_tag, not_modified
from rainbow_site.web.rest.reasons import OptionalReasonSerializer, ReasonSerializer
from rainbow_site.web.rest.schema import BY_ANYBODY, BY_OPERATOR, BY_SECRET, answers
from rainbow_site.web.rest.written import Writers, document, objects_of, text, writers_of

_REASON = OpenApiExample("a reason", value={"reason": "wrong input file"}, request_only=True)


class Jobs(Submission, GenericAPIView[Job]):
    """GET lists jobs, POST submits one."""

    queryset = Job.objects.none()
    filter_backends = [DjangoFilterBackend]
    filterset_class = JobFilter
    pagination_class = None
    # Prefills the form of the browsable API.
    serializer_class = JobSpecSerializer

    @extend_schema(
        operation_id="list_jobs",
        summary="List jobs",
        auth=BY_ANYBODY,
        tags=["jobs"],
        filters=True,
        responses=answers({200: JobPageSerializer}),
    )
    def get(self, request: Request) -> Response:
        """Returns a page of jobs: a token's own, for a secret all of its cluster, for operators all. Answers 304 to a
        matching If-None-Match.
        """
        by = admitted(request, ANY, staff=VIEW)
        page, with_content = find_ids(by=by, search=search_from(request.query_params)), sees_content(request)
        shown = [str(page), str(with_content)]
        if same := not_modified(request, lambda: [*shown, *read_versions(page.ids)]):
            return same
        jobs = write_jobs(page.ids, with_content=with_content)
        # What did not fit this answer was not read, which a tag would have to be of.
        whole = len(jobs.ids) == len(page.ids)
        tag = {"ETag": entity_tag(request, [*shown, *jobs.versions])} if whole else None
        last = page.ids[-1] if page.more else page.looked_until
        following = _next(request, jobs.ids[-1] if jobs.ids and not whole else last)
        return Response(document(f'{{"next":{text(following)},"results":{jobs.array}}}'), headers=tag)


class JobDetail(APIView):
    @extend_schema(
        operation_id="get_job",
        summary="Get a job",
        auth=BY_ANYBODY,
        tags=["jobs"],
        responses=answers({200: JobSerializer}),
    )
    @method_decorator(conditional_page)
    def get(self, request: Request, job: int) -> Response:
        """Returns a job with its environment and the end of its output. Answers 304 to a matching If-None-Match."""
        return Response(_shown(request, admitted(request, ANY, staff=VIEW), job))


class Events(APIView):
    @extend_schema(
        operation_id="list_events",
        summary="List the events of a job",
        auth=BY_ANYBODY,
        tags=["jobs"],
        responses=answers({200: EventSerializer(many=True)}),
    )
    def get(self, request: Request, job: int) -> Response:
        """Returns the events of a job, oldest first. Replaying them gives the job's state."""
        found = _job(admitted(request, ANY, staff=VIEW), job, with_events=True, brief=True)
        return Response(document(objects_of(found.events, _of_event())))


class Cancel(APIView):
    @extend_schema(
        operation_id="cancel_job",
        summary="Cancel a job",
        auth=BY_ANYBODY,
        tags=["jobs"],
        request=OptionalReasonSerializer,
        responses=answers({200: OutcomeSerializer}, 409, body=True),
        examples=[_REASON],
    )
    def post(self, request: Request, job: int) -> Response:
        """Cancels a job: at once if no agent holds it, otherwise when its cluster's agent confirms."""
        by = admitted(request, ANY, staff=ACT)
        reason = read(OptionalReasonSerializer, request.data)["reason"]
        result = cancel_jobs(by=by, job_ids=[_possible(job)], reason=reason, now=timezone.now())[0]
        if result.outcome in (CancelOutcome.NOT_FOUND, CancelOutcome.ONLY_SEEN):
            raise NotFound(result.outcome.value)
        if result.outcome in (CancelOutcome.ALREADY_FINAL, CancelOutcome.OUT_OF_REACH):
            raise FailedPrecondition(result.outcome.value)
        return Response(shown(OutcomeSerializer, result))


class CancelMany(APIView):
    @extend_schema(
        operation_id="cancel_jobs",
        summary="Cancel many jobs",
        auth=BY_ANYBODY,
        tags=["jobs"],
        request=CancelManySerializer,
        responses=answers({200: OutcomesSerializer}, body=True),
        examples=[OpenApiExample("two jobs", value={"ids": [12, 13], "reason": "wrong input"}, request_only=True)],
    )
    def post(self, request: Request) -> Response:
        """Cancels up to 10,000 jobs, with an outcome for each distinct id."""
        by = admitted(request, ANY, staff=ACT)
        data = read(CancelManySerializer, request.data)
        results = cancel_jobs(by=by, job_ids=data["ids"], reason=data["reason"], now=timezone.now())
        return Response(shown(OutcomesSerializer, {"results": results}))


class Signal(APIView):
    @extend_schema(
        operation_id="signal_job",
        summary="Send a signal to a job",
        auth=BY_ANYBODY,
        tags=["jobs"],
        request=SignalSerializer,
        responses=answers({200: OutcomeSerializer}, 409, body=True),
        examples=[OpenApiExample("a signal", value={"signal": "USR1"}, request_only=True)],
    )
    def post(self, request: Request, job: int) -> Response:
        """Sends a signal to all processes of a running job, by its cluster's agent. The job's event `signalled` says
        that it was sent, or why it could not be.
        """
        by = admitted(request, ANY, staff=ACT)
        signal = read(SignalSerializer, request.data)["signal"]
        result = signal_jobs(by=by, job_ids=[_possible(job)], signal=signal, now=timezone.now())[0]
        if result.outcome in (SignalOutcome.NOT_FOUND, SignalOutcome.ONLY_SEEN):
            raise NotFound(result.outcome.value)
        if result.outcome in (SignalOutcome.NOT_RUNNING, SignalOutcome.TOO_MANY):
            raise FailedPrecondition(result.outcome.value)
        return Response(shown(OutcomeSerializer, result))


class Requeue(APIView):
    @extend_schema(
        operation_id="requeue_job",
        summary="Requeue a job",
        auth=[*BY_SECRET, *BY_OPERATOR],
        tags=["jobs"],
        request=ReasonSerializer,
        responses=answers({200: JobSerializer}, 409, body=True),
        examples=[OpenApiExample("a reason", value={"reason": "the cluster is gone"}, request_only=True)],
    )
    def post(self, request: Request, job: int) -> Response:
        """Requeues an accepted or lost job as its next attempt. If the previous attempt started, the job may run twice.
        Needs the cluster's secret, or an operator.
        """
        by = admitted(request, SECRET, staff=ACT)
        _job(by, job)
        reason = read(ReasonSerializer, request.data)["reason"]
        result = requeue_jobs(by=by, job_ids=[job], reason=reason, now=timezone.now())[0]
        if result.refusal:
            raise FailedPrecondition(result.refusal)
        return Response(_shown(request, by, job))


@cache
def _of_event() -> Writers:
    return writers_of(EventSerializer)


def _job(by: Caller | Operator, job_id: int, *, with_events: bool = False, brief: bool = False) -> FoundJob:
    """Raises NotFound for a job that does not exist and for one that the caller may not see alike."""
    found = get_jobs(by=by, job_ids=[_possible(job_id)], with_events=with_events, brief=brief).get(job_id)
    if found is None:
        raise NotFound(NO_SUCH_JOB)
    return found


def _shown(request: Request, by: Caller | Operator, job_id: int) -> dict[str, Any]:
    job = _job(by, job_id)
    wait = explain_found(by=by, job=job, now=timezone.now())
    return JobSerializer(job, context={WITH_CONTENT: sees_content(request), WAIT: wait}).data


def _possible(job_id: int) -> int:
    if not 1 <= job_id <= MAX_ID:
        raise NotFound(NO_SUCH_JOB)
    return job_id


def _next(request: Request, last: int) -> str | None:
    """The address of what comes after this job; None where it is 0."""
    if not last:
        return None
    query = {**dict(request.query_params.lists()), "cursor": [str(last)]}
    return f"{request.build_absolute_uri(request.path)}?{urlencode(query, doseq=True)}"
