"""Submitting a job again, as a new one."""

from datetime import datetime

from django.db.models.functions import Coalesce

from clusters.callers import Caller
from jobs.models import Job
from jobs.queries.found_job import FoundJob
from jobs.queries.lookup import get_jobs
from jobs.services.orders import Order, Receipt
from jobs.services.submit import submit_jobs
from jobs.specs import SPEC_FIELDS, JobSpec
from rainbow.errors import NO_SUCH_JOB, NotFound, RainbowError


def resubmit_job(*, job_id: int, by: Caller, project: str, key: str, now: datetime) -> Receipt:
    """Submits what a job that the caller sees asked for, as theirs, to the caller's cluster or pool.

    Without its signature, which is for one job, its group, and what is over or holds elsewhere: its expiry, the jobs
    that it waited for, and the clusters of its pool that it named. `key` is the idempotency key. Raises NotFound, and
    what a submission is refused with.
    """
    job = get_jobs(by=by, job_ids=[job_id]).get(job_id)
    if job is None:
        raise NotFound(NO_SUCH_JOB)
    spec = _spec(job, key=key, elsewhere=home_of(job_id) != by.cluster_id, now=now)
    result = submit_jobs(orders=[Order(by=by, cluster_id=by.cluster_id, spec=spec, project=project)], now=now)[0]
    if isinstance(result, RainbowError):
        raise result
    return result


def home_of(job_id: int) -> int | None:
    """The cluster or pool that a job was submitted to; None if it is not there."""
    submitted = Job.objects.filter(id=job_id).annotate(home=Coalesce("submitted_to_id", "cluster_id"))
    return submitted.values_list("home", flat=True).first()


def _spec(job: FoundJob, *, key: str, elsewhere: bool, now: datetime) -> JobSpec:
    said = {name: getattr(job, name) for name in SPEC_FIELDS}
    said |= {"signature": "", "idempotency_key": key, "group": 0, "after": ()}
    if job.expires_at and job.expires_at <= now:
        said["expires_at"] = None
    if elsewhere:
        said |= {"clusters": (), "spill_after_seconds": 0}
    return JobSpec(**said)
