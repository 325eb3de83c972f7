"""The operations of the IRI Facility API on jobs. `cluster` is a resource: a cluster or a pool."""

from dataclasses import fields, replace
from typing import Any

from django.utils import timezone
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from clusters.callers import Caller
from clusters.models import OF_CLUSTERS
from jobs.iri.answers import launched, shown, spec_of
from jobs.iri.idempotency import alone
from jobs.iri.job_spec_serializers import (
    FiltersSerializer,
    JobSpecSerializer,
    NoQuerySerializer,
    StatusesQuerySerializer,
    StatusQuerySerializer,
)
from jobs.iri.listing import list_jobs
from jobs.iri.requests import asked, place_of
from jobs.iri.resources import launchable, resource
from jobs.iri.view import FacilityView, query, submitter
from jobs.models import MAX_ID
from jobs.outcomes import CancelOutcome
from jobs.queries.explain import explain_found
from jobs.queries.found_job import FoundJob
from jobs.queries.lookup import get_jobs
from jobs.services.cancel import cancel_jobs
from jobs.services.orders import Order
from jobs.services.submit import submit_jobs
from jobs.specs import MAX_KEY, JobSpec
from jobs.states import JobState
from rainbow.errors import NO_SUCH_JOB, FailedPrecondition, InvalidArgument, NotFound, RainbowError
from rainbow_site.web.rest.admission import read
from rainbow_site.web.rest.authentication import ReadingBearerAuthentication
from rainbow_site.web.rest.idempotency import key_of

# As the reference implementation calls it.
REPLY = "Idempotency-Key-Reply"


class Resources(FacilityView):
    def get(self, request: Request) -> Response:
        by = submitter(request)
        query(NoQuerySerializer, request)
        return Response([resource(one, request) for one in launchable(by)])


class Launches(FacilityView):
    def post(self, request: Request, cluster: str) -> Response:
        by = submitter(request, cluster=cluster)
        query(NoQuerySerializer, request)
        key = key_of(request, longest=MAX_KEY)
        spec, project = asked(read(JobSpecSerializer, request.data))
        order = Order(by=by, cluster_id=by.cluster_id, spec=replace(spec, idempotency_key=key), project=project)
        with alone(by, key):
            receipt = submit_jobs(orders=[order], now=timezone.now(), rank_duplicates=False)[0]
        if isinstance(receipt, RainbowError):
            raise receipt
        said = {REPLY: "hit" if receipt.duplicate else "miss"} if key else None
        return Response(launched(_job(by, str(receipt.job_id))), headers=said)


class Launched(FacilityView):
    """Nothing of a job's specification changes once it is submitted, so an update succeeds that changes nothing."""

    def put(self, request: Request, cluster: str, job: str) -> Response:
        by = submitter(request, cluster=cluster)
        query(NoQuerySerializer, request)
        key_of(request, longest=MAX_KEY)
        spec, project = asked(read(JobSpecSerializer, request.data))
        found = _job(by, job, brief=False)
        for changed in _changes(found, spec, project):
            detail = "cannot change once a job is submitted; cancel the job, and launch another"
            raise InvalidArgument(detail, field=changed)
        return Response({"id": str(found.id), "job_spec": spec_of(found)})


class Status(FacilityView):
    def get(self, request: Request, cluster: str, job: str) -> Response:
        by = submitter(request, cluster=cluster)
        said = query(StatusQuerySerializer, request)
        found = _job(by, job, brief=not said["include_spec"])
        if found.final and not said["historical"]:
            raise NotFound(NO_SUCH_JOB)
        wait = explain_found(by=by, job=found, now=timezone.now())
        return Response(shown(found, message=wait.summary if wait else "", include_spec=said["include_spec"]))


class Statuses(FacilityView):
    authentication_classes = [ReadingBearerAuthentication]

    def post(self, request: Request, cluster: str) -> Response:
        by = submitter(request, cluster=cluster)
        said = query(StatusesQuerySerializer, request)
        filters = read(FiltersSerializer, request.data if request.data is not None else {})
        return Response(list_jobs(narrowed(by), **said, **filters))


class Cancel(FacilityView):
    def delete(self, request: Request, cluster: str, job: str) -> Response:
        by = submitter(request, cluster=cluster)
        query(NoQuerySerializer, request)
        found = _job(by, job)
        outcome = cancel_jobs(by=narrowed(by), job_ids=[found.id], now=timezone.now())[0].outcome
        if outcome in (CancelOutcome.NOT_FOUND, CancelOutcome.ONLY_SEEN):
            raise NotFound(outcome.value)
        again = outcome == CancelOutcome.ALREADY_FINAL and found.state == JobState.CANCELLED
        if outcome in (CancelOutcome.ALREADY_FINAL, CancelOutcome.OUT_OF_REACH) and not again:
            raise FailedPrecondition(outcome.value)
        return Response(status=status.HTTP_204_NO_CONTENT)


def narrowed(by: Caller) -> Caller:
    """The caller with a sight of the jobs of this resource alone: those that are, or were, in it.

    The jobs of a cluster's token are all submitted there.
    """
    return by if by.kind in OF_CLUSTERS else replace(by, scopes=frozenset({by.cluster_id}))


def _job(by: Caller, said: str, *, brief: bool = True) -> FoundJob:
    """Raises NotFound for a job that does not exist, is none of this resource, or is not seen, alike."""
    job_id = int(said) if said.isascii() and said.isdecimal() and len(said) <= len(str(MAX_ID)) else 0
    found = get_jobs(by=narrowed(by), job_ids=[job_id], brief=brief) if 1 <= job_id <= MAX_ID else {}
    if job_id not in found:
        raise NotFound(NO_SUCH_JOB)
    return found[job_id]


def _changes(found: FoundJob, wanted: JobSpec, project: str) -> list[str]:
    """Where the two differ, as places in a JobSpec. A key is no part of what is asked for."""
    names = [item.name for item in fields(JobSpec) if item.name not in ("idempotency_key", "signature")]
    changed = [name for name in names if _comparable(getattr(found, name)) != _comparable(getattr(wanted, name))]
    return [place_of(name) for name in [*changed, *(["project"] if project not in ("", found.project) else [])]]


def _comparable(value: Any) -> Any:
    return list(dict.fromkeys(value)) if isinstance(value, tuple) else value
