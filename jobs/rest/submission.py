from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from typing import Any, TypeVar

from django.urls import get_script_prefix, reverse
from django.utils import timezone
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.views import APIView

from clusters.callers import Caller
from jobs.models import MAX_ID
from jobs.queries.warnings import warn_caller
from jobs.rest.serializers import MAX_BATCH, SubmitManySerializer, SubmittedManySerializer, SubmittedSerializer
from jobs.rest.spec_serializers import JobSpecSerializer, ResubmitSerializer
from jobs.services.groups import BESIDE_THE_GROUP, GroupWish, check_wish, group_of
from jobs.services.orders import Order, Receipt
from jobs.services.resubmit import resubmit_job
from jobs.services.submit import submit_jobs
from jobs.specs import MAX_KEY, JobSpec
from rainbow.errors import NO_SUCH_JOB, InvalidArgument, NotFound, RainbowError
from rainbow_site.web.rest.admission import SUBMITTERS, holder, read, shown
from rainbow_site.web.rest.idempotency import KEY_HEADER, key_of
from rainbow_site.web.rest.schema import BY_TOKEN, answers

F = TypeVar("F", bound=Callable[..., Response])
# A job of a batch gets the header's key, a slash and its index.
MAX_HEADER_KEY = MAX_KEY - len(f"/{MAX_BATCH}")
REPLAYED = {"Idempotency-Replayed": "true"}

_KEY = OpenApiParameter(
    KEY_HEADER,
    {"type": "string", "minLength": 1, "maxLength": MAX_HEADER_KEY, "pattern": "^[\\x20-\\x7e]+$"},
    OpenApiParameter.HEADER,
    description=f"1 to {MAX_HEADER_KEY} characters of ASCII. Repeating a call with the same key and body makes no "
    "second job; the answer then has `Idempotency-Replayed: true`. With another body it is refused with 409.",
)
_SPEC = {"command": "./simulate --steps 1000", "nodes": 2, "time_limit_seconds": 3600, "labels": {"team": "physics"}}


def _described(operation_id: str, summary: str, *, many: bool = False) -> Callable[[F], F]:
    """All submissions take and give the same, one job or many."""
    takes: type[BaseSerializer[Any]] = SubmitManySerializer if many else JobSpecSerializer
    gives = {200: SubmittedManySerializer} if many else {201: SubmittedSerializer}
    example = ("two jobs", {"jobs": [_SPEC, {"command": "hostname"}]}) if many else ("a job", _SPEC)
    return extend_schema(
        operation_id=operation_id,
        summary=summary,
        auth=BY_TOKEN,
        tags=["jobs"],
        parameters=[_KEY],
        request=takes,
        responses=answers(gives, 409, 507, body=True),
        examples=[OpenApiExample(example[0], value=example[1], request_only=True)],
    )


def _resubmission(operation_id: str, summary: str) -> Callable[[F], F]:
    return extend_schema(
        operation_id=operation_id,
        summary=summary,
        auth=BY_TOKEN,
        tags=["jobs"],
        parameters=[_KEY],
        request=ResubmitSerializer,
        responses=answers({201: SubmittedSerializer}, 409, 507, body=True),
        examples=[
            OpenApiExample("more time", value={"changes": {"time_limit_seconds": 7200}}, request_only=True),
        ],
    )


class Submission(APIView):
    @_described("submit_job", "Submit a job")
    def post(self, request: Request) -> Response:
        """Submits a job to the token's cluster. An acknowledged job is durable."""
        return _submitted(request)


class SubmissionTo(APIView):
    @_described("submit_job_to", "Submit a job to a cluster or pool")
    def post(self, request: Request, cluster: str) -> Response:
        """The same for a token of a person or a project, which may use several clusters. An acknowledged job is
        durable.
        """
        return _submitted(request, cluster=cluster)


class Resubmission(APIView):
    @_resubmission("resubmit_job", "Submit a job again")
    def post(self, request: Request, job: int) -> Response:
        """Submits a new job to the token's cluster: what a job that the caller sees asked for, with changes. It names
        the old one. A signature is not carried over; what needs one is submitted with `resubmission_of`.
        """
        return _resubmitted(request, job)


class ResubmissionTo(APIView):
    @_resubmission("resubmit_job_to", "Submit a job again to a cluster or pool")
    def post(self, request: Request, cluster: str, job: int) -> Response:
        """The same for a token of a person or a project, which may use several clusters."""
        return _resubmitted(request, job, cluster=cluster)


class Batch(APIView):
    @_described("submit_jobs", "Submit many jobs", many=True)
    def post(self, request: Request) -> Response:
        """Submits up to 10,000 jobs in one transaction, with a result for each, in order.

        A refused job does not affect the others. With an Idempotency-Key header, each job without a key of its own gets
        the header's key followed by its index, and a key that belongs to another job then refuses the whole batch.
        """
        return _submitted_batch(request)


class BatchTo(APIView):
    @_described("submit_jobs_to", "Submit many jobs to a cluster or pool", many=True)
    def post(self, request: Request, cluster: str) -> Response:
        """The same for a token of a person or a project, which may use several clusters."""
        return _submitted_batch(request, cluster=cluster)


def _submitted(request: Request, *, cluster: str | None = None) -> Response:
    by, now = holder(request, SUBMITTERS, cluster=cluster), timezone.now()
    order = _order(by, read(JobSpecSerializer, request.data), key=key_of(request, longest=MAX_HEADER_KEY))
    receipt = submit_jobs(orders=[order], now=now)[0]
    if isinstance(receipt, RainbowError):
        raise receipt
    return _shown(receipt, by, now)


def _resubmitted(request: Request, job: int, *, cluster: str | None = None) -> Response:
    by, now = holder(request, SUBMITTERS, cluster=cluster), timezone.now()
    said = read(ResubmitSerializer, request.data)
    if not 1 <= job <= MAX_ID:
        raise NotFound(NO_SUCH_JOB)
    receipt = resubmit_job(
        job_id=job,
        by=by,
        changes=said.get("changes"),
        project=said["project"],
        key=key_of(request, longest=MAX_HEADER_KEY),
        now=now,
    )
    return _shown(receipt, by, now)


def _shown(receipt: Receipt, by: Caller, now: datetime) -> Response:
    submitted = {
        "id": receipt.job_id,
        "cluster": by.cluster,
        "position": receipt.position,
        "last_asked_at": by.last_asked_at,
        "warning": warn_caller(by, now=now),
    }
    headers = {"Location": f"{_path_of_jobs(get_script_prefix())}{receipt.job_id}"}
    if receipt.duplicate:
        headers |= REPLAYED
    return Response(shown(SubmittedSerializer, submitted), status=status.HTTP_201_CREATED, headers=headers)


@lru_cache(maxsize=16)
def _path_of_jobs(_script_prefix: str) -> str:
    """A job's path without its id. It is below the prefix, and to find it costs as much as to write the answer."""
    return reverse("job", args=[0]).removesuffix("0")


def _submitted_batch(request: Request, *, cluster: str | None = None) -> Response:
    by, now = holder(request, SUBMITTERS, cluster=cluster), timezone.now()
    key = key_of(request, longest=MAX_HEADER_KEY)
    said = read(SubmitManySerializer, request.data)
    orders = [_order(by, job, key=f"{key}/{place}" if key else "") for place, job in enumerate(said["jobs"])]
    group = _group(by, said["group"], orders, key=key) if said["group"] else None
    results = submit_jobs(orders=orders, group=group, now=now, refuse_all_on_conflict=bool(key))
    answer = {
        "results": [_item(result) for result in results],
        "last_asked_at": by.last_asked_at,
        "warning": warn_caller(by, now=now),
        "group": group_of(orders, results) if group else 0,
    }
    replayed = all(isinstance(result, Receipt) and result.duplicate for result in results)
    return Response(shown(SubmittedManySerializer, answer), headers=REPLAYED if replayed else None)


def _order(caller: Caller, said: dict[str, Any], *, key: str = "") -> Order:
    """`key` is for a job that has none of its own."""
    project = said.pop("project")
    spec = JobSpec(**said)
    if key and not spec.idempotency_key:
        spec = replace(spec, idempotency_key=key)
    return Order(by=caller, cluster_id=caller.cluster_id, spec=spec, project=project)


def _group(caller: Caller, said: dict[str, Any], orders: Sequence[Order], *, key: str) -> GroupWish:
    """Raises InvalidArgument."""
    if any(order.spec.group for order in orders):
        raise InvalidArgument(BESIDE_THE_GROUP, field="jobs.group")
    own_key = said["idempotency_key"] or ("" if said["id"] else key)
    wish = GroupWish(
        by=caller,
        project=orders[0].project,
        group_id=said["id"],
        name=said["name"],
        at_once=said["at_once"],
        stop_after_failures=said["stop_after_failures"],
        idempotency_key=own_key,
        more=said["more"],
    )
    check_wish(wish)
    return wish


def _item(result: Receipt | RainbowError) -> dict[str, Any]:
    if isinstance(result, RainbowError):
        error = {"code": result.code, "field": result.field, "detail": result.message}
        return {"id": None, "duplicate": False, "position": 0, "error": error}
    return {"id": result.job_id, "duplicate": result.duplicate, "position": result.position, "error": None}
