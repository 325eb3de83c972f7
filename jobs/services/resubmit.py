"""Submitting jobs again, as new ones."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.db.models.functions import Coalesce

from clusters.callers import Caller
from jobs.models import Job
from jobs.queries.found_job import FoundJob
from jobs.queries.lookup import find_asked
from jobs.services.orders import Order, Receipt
from jobs.services.submit import submit_jobs
from jobs.specs import SPEC_FIELDS, JobSpec
from rainbow.errors import NO_SUCH_JOB, InvalidArgument, NotFound, RainbowError, ResourceExhausted

# What each job says of itself alone.
_OF_ONE_JOB = frozenset({"signature", "idempotency_key", "resubmission_of", "group"})
# Tells a job the group of the array's task that it is in place of, as it is in none itself.
ARRAY_JOB_ID = "SLURM_ARRAY_JOB_ID"
CHANGEABLE = frozenset(SPEC_FIELDS) - _OF_ONE_JOB


class TooMuchForOneCall(ResourceExhausted):
    """The jobs before this one ask for as much as one call submits again. Of a call's jobs the first always fits."""

    def __init__(self) -> None:
        super().__init__("are more than one call submits again: this one is for another call", field="jobids")


@dataclass(frozen=True, slots=True, kw_only=True)
class Resubmission:
    """What became of one: its receipt, or why it was refused. `signed`: the old job was, and the new one is not."""

    outcome: Receipt | RainbowError
    signed: bool = False


def resubmit_jobs(
    *,
    by: Caller,
    job_ids: Sequence[int],
    changes: Mapping[str, Any] | None = None,
    project: str = "",
    key: str = "",
    now: datetime,
) -> list[Resubmission]:
    """Submits what jobs that the caller sees (1 to 1,000 ids) asked for, as theirs, to the caller's cluster or pool.

    With the `changes`, by the names of fields, and for the old job's project unless another is named. Without its
    signature, which is for one job, its group, and what is over or holds elsewhere: its expiry, the jobs that it waited
    for, and the clusters of its pool that it named. The environment of one with an index names the group of the old
    one, which its variables tell it. `key` is the idempotency key; of several jobs, what theirs begin
    with. A result for each id, in their order: TooMuchForOneCall of those that do not fit beside the ones before them.
    Raises InvalidArgument.
    """
    changed = _checked(changes or {})
    asked = find_asked(by=by, job_ids=job_ids, changed={name: _bytes_of(value) for name, value in changed.items()})
    found = {job.id: job for job in asked.jobs}
    homes = homes_of(found)
    orders: dict[int, Order] = {}
    for job_id in dict.fromkeys(job_ids):
        if job := found.get(job_id):
            own = f"{key}/{job_id}" if key and len(job_ids) > 1 else key
            spec = replace(_spec(job, elsewhere=homes.get(job_id) != by.cluster_id, now=now), **changed)
            spec = replace(_told_of_array(spec, job), idempotency_key=own, resubmission_of=job_id)
            said = project or (job.project if by.person_id else "")
            orders[job_id] = Order(by=by, cluster_id=by.cluster_id, spec=spec, project=said)
    outcomes = dict(zip(orders, submit_jobs(orders=list(orders.values()), now=now), strict=True))
    results = {id: Resubmission(outcome=outcome, signed=bool(found[id].signature)) for id, outcome in outcomes.items()}
    results |= {id: Resubmission(outcome=TooMuchForOneCall()) for id in asked.remaining}
    return [results.get(job_id) or Resubmission(outcome=NotFound(NO_SUCH_JOB)) for job_id in job_ids]


def resubmit_all(
    *, by: Caller, job_ids: Sequence[int], changes: Mapping[str, Any], project: str, key: str, now: datetime
) -> list[Resubmission]:
    """The same in as many transactions as that takes. Each key has the id of its job, also where there is one: a group
    may have more failed members when a form is sent again.
    """
    results: dict[int, Resubmission] = {}
    rest = list(dict.fromkeys(job_ids))
    while rest:
        own = f"{key}/{rest[0]}" if key and len(rest) == 1 else key
        part = resubmit_jobs(by=by, job_ids=rest, changes=changes, project=project, key=own, now=now)
        results |= zip(rest, part, strict=True)
        rest = [job_id for job_id in rest if isinstance(results[job_id].outcome, TooMuchForOneCall)]
    return [results[job_id] for job_id in job_ids]


def resubmit_job(
    *, job_id: int, by: Caller, changes: Mapping[str, Any] | None = None, project: str = "", key: str, now: datetime
) -> Receipt:
    """The same of one job. Raises NotFound, and what a submission is refused with."""
    (result,) = resubmit_jobs(by=by, job_ids=[job_id], changes=changes, project=project, key=key, now=now)
    if isinstance(result.outcome, RainbowError):
        raise result.outcome
    return result.outcome


def home_of(job_id: int) -> int | None:
    """The cluster or pool that a job was submitted to; None if it is not there."""
    return homes_of([job_id]).get(job_id)


def homes_of(job_ids: Collection[int]) -> dict[int, int]:
    submitted = Job.objects.filter(id__in=list(job_ids)).annotate(home=Coalesce("submitted_to_id", "cluster_id"))
    return dict(submitted.values_list("id", "home"))


def _checked(changes: Mapping[str, Any]) -> dict[str, Any]:
    """Raises InvalidArgument for a field that cannot be changed; their values are checked as every submission's."""
    for name in changes:
        if name not in CHANGEABLE:
            raise InvalidArgument(f"{name} cannot be changed", field="changed")
    return dict(changes)


def _bytes_of(value: object) -> int:
    return len(json.dumps(value, default=str))


def _spec(job: FoundJob, *, elsewhere: bool, now: datetime) -> JobSpec:
    said = {name: getattr(job, name) for name in SPEC_FIELDS if name not in _OF_ONE_JOB}
    said["after"] = ()
    if job.expires_at and job.expires_at <= now:
        said["expires_at"] = None
    if elsewhere:
        said |= {"clusters": (), "spill_after_seconds": 0}
    return JobSpec(**said)


def _told_of_array(spec: JobSpec, old: FoundJob) -> JobSpec:
    """Also where the old job is in place of such a task itself."""
    array = str(old.group or "") or old.environment.get(ARRAY_JOB_ID, "")
    if old.array_index is None or not array:
        return spec
    return replace(spec, environment={**spec.environment, ARRAY_JOB_ID: array})
