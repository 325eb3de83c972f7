"""Jobs that a cluster gives back, because they did not start there in time or because it refuses them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from django.db import transaction
from django.db.models import Exists, OuterRef

from clusters.facts import Facts
from clusters.matching import fits
from clusters.models import PoolMember
from clusters.parsed_facts import parsed_facts
from jobs.events import Step
from jobs.models import Job, JobQuerySet, Queue, Serves
from jobs.notify import tell_after_commit
from jobs.placement import DEMAND_FIELDS, PLACING_FIELDS, chosen_clusters, demand_of
from jobs.queries.pools import members_by_pool
from jobs.reports import Return
from jobs.services.placing import DECISIVE, put_in_queues
from jobs.services.requeue import put_back
from jobs.states import JobState, What

_PART = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenBack:
    """An accepted job that provably never started; locked by the caller."""

    job: Job
    why: Return
    reason: str


def give_back(given: Sequence[GivenBack], *, now: datetime) -> list[Step]:
    """Lets each wait again, for the clusters of its pool that did not give it back; gives the steps to record.

    Where all that can run it have, those get it again that did not refuse it. A job that all refuse fails.
    """
    if not given:
        return []
    given = list({one.job.id: one for one in given}.values())
    _read_placing([one.job for one in given])
    members = members_by_pool({one.job.taken_from_id for one in given if one.job.taken_from_id})
    facts = parsed_facts.of({one.cluster_id for pool in members.values() for one in pool})
    return [step for one in given for step in _give_back(one, _in_reach(one.job, members, facts), now)]


def _read_placing(jobs: Sequence[Job]) -> None:
    """What decides the queues of these jobs, which few reports need."""
    by_id = {job.id: job for job in jobs}
    for values in Job.objects.filter(id__in=by_id).values("id", *PLACING_FIELDS):
        job = by_id[values.pop("id")]
        for name, value in values.items():
            setattr(job, name, value)


def _in_reach(job: Job, members: Mapping[int, Sequence[PoolMember]], facts: Mapping[int, Facts]) -> set[int]:
    """The clusters of its pool that may take it, and can run it."""
    if not job.taken_from_id:
        return set()
    chosen = chosen_clusters(job.taken_from_id, job)
    wanted = {name: getattr(job, name) for name in DEMAND_FIELDS}
    return {
        one.cluster_id
        for one in members[job.taken_from_id]
        if (not chosen or one.cluster.name in chosen)
        and fits(demand_of(wanted, one.cluster.name), facts[one.cluster_id])
    }


def _give_back(given: GivenBack, members: set[int], now: datetime) -> Iterator[Step]:
    job, cluster, why = given.job, given.job.cluster_id, given.why
    if job.cancel_requested_at:
        yield from _end(replace(given, reason=job.reason), JobState.CANCELLED, now)
        return
    earlier = {**job.given_back, str(cluster): why.name}
    others = members or {cluster}
    if not others - _ids(earlier):
        earlier = _refusals(earlier)
    if not others - _ids(earlier):
        yield from _end(given, JobState.FAILED, now)
        return
    job.given_back = earlier
    Job.objects.filter(id=job.id).update(given_back=earlier)
    yield from put_back([job], reason=given.reason or why.value, now=now)


@transaction.atomic
def try_again(*, now: datetime) -> int:
    """Lets clusters that did not start jobs in time have those that no other serves any more; returns how many jobs.

    A pool may have lost its other clusters since. Of at most 1,000 jobs at a time.
    """
    jobs = list(_left_alone().only(*DECISIVE).order_by("id").select_for_update(skip_locked=True)[:_PART])
    for job in jobs:
        job.given_back = _refusals(job.given_back)
        Job.objects.filter(id=job.id).update(given_back=job.given_back)
    put_in_queues(jobs, now=now)
    tell_after_commit(cluster_ids={job.cluster_id for job in jobs}, job_ids=())
    return len(jobs)


def some_may_try_again() -> bool:
    return _left_alone().exists()


def _left_alone() -> JobQuerySet:
    """The waiting jobs that no cluster serves, and that some did not start in time."""
    unserved = Queue.objects.exclude(Exists(Serves.objects.filter(queue_id=OuterRef("id"))))
    waiting = Job.objects.in_state(JobState.QUEUED).filter(queue__in=unserved)
    return waiting.filter(given_back__icontains=Return.NOT_STARTED.name)


def _refusals(given_back: Mapping[str, str]) -> dict[str, str]:
    return {id: why for id, why in given_back.items() if why == Return.REFUSED.name}


def _ids(clusters: Mapping[str, str]) -> set[int]:
    return set(map(int, clusters))


def _end(given: GivenBack, state: JobState, now: datetime) -> Iterator[Step]:
    what = What.CANCELLED if state == JobState.CANCELLED else What.ENDED
    yield replace(Step.of(given.job, what, state), why=given.reason)
    Job.objects.filter(id=given.job.id).update(
        state=state, finished_at=now, reason=given.reason, lease_seconds=None, lease_expires_at=None
    )
