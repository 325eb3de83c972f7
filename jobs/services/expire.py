"""Expiring the leases of silent agents."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import groupby, islice
from operator import itemgetter

from django.db import transaction
from django.db.models import Q

from jobs.events import Step, record
from jobs.models import Job, LeaseWatch
from jobs.retries import AttemptEnd, lost_to_be_retried
from jobs.services.dependents import release_free, settle
from jobs.services.mass_silence import hold_back
from jobs.services.requeue import put_back
from jobs.services.retry import retry
from jobs.states import JobState, OnLost, What

# How often one of the servers expires leases.
EVERY = timedelta(seconds=5)
# No server expired leases for so long: none ran, and no agent could report. A server does so first when it has run for
# EVERY, so that any outage longer than a short lease is noticed.
OUTAGE = timedelta(seconds=12)
# A time further ahead than this was written by a wrong clock.
_FAR_AHEAD = timedelta(hours=1)
_BATCH = 500
_SILENT = "its agent fell silent"
_NEVER_STARTED = f"{_SILENT} before it handed the job over"


@dataclass(frozen=True, slots=True, kw_only=True)
class Expiry:
    """The result of one batch. `held_back` are the clusters (ids) whose leases run on: most are silent at once.

    `more` tells that further leases ran out: `expire_further` ends them.
    """

    requeued: int = 0
    cancelled: int = 0
    lost: int = 0
    held_back: frozenset[int] = frozenset()

    @property
    def jobs(self) -> int:
        return self.requeued + self.cancelled + self.lost

    @property
    def more(self) -> bool:
        return self.jobs == _BATCH


def expire_leases(*, now: datetime, present_since: datetime | None = None) -> Expiry | None:
    """Expires the first 500 leases that ran out; None when another server has just done so.

    A job that its agent never handed to a scheduler returns to the queue as the next attempt, or ends if it
    was asked to stop. One that may have started is lost, and returns to the queue only if its submitter asked
    for that: at once, or as a retry after a pause. After an outage of all servers every lease starts again: no server
    expired leases for a while, and this one did not run all that time (`present_since`; a busy server is late, and its
    callers must not profit from that).
    """
    if not _my_turn(now, present_since):
        return None
    held_back = hold_back(now=now)
    return replace(_expire_some(now, sparing=held_back), held_back=held_back)


def expire_further(look: Expiry, *, now: datetime) -> Expiry:
    """Expires the next 500 leases, in a transaction of its own, so that other writers get their turn."""
    LeaseWatch.objects.filter(id=1).update(looked_at=now)
    return replace(_expire_some(now, sparing=look.held_back), held_back=look.held_back)


@transaction.atomic
def _my_turn(now: datetime, present_since: datetime | None) -> bool:
    """Whether it is this server's turn: one conditional UPDATE decides, and shows an outage."""
    watch, _ = LeaseWatch.objects.get_or_create(id=1, defaults={"looked_at": now - OUTAGE})
    due = Q(looked_at__lte=now - EVERY) | Q(looked_at__gt=now + _FAR_AHEAD)
    if not LeaseWatch.objects.filter(due, id=1, looked_at=watch.looked_at).update(looked_at=now):
        return False
    was_there = present_since is not None and present_since <= watch.looked_at <= now
    if abs(now - watch.looked_at) >= OUTAGE and not was_there:
        _run_anew(now)
    return True


def _run_anew(now: datetime) -> None:
    # By their ids, since for their order SQLite would look through all jobs: the lock order (docs/development.md).
    leased = Job.objects.filter(lease_expires_at__isnull=False)
    held = leased.filter(id__in=leased.values("id")).order_by("id").select_for_update()
    by_length = groupby(sorted((seconds, id) for id, seconds in held.values_list("id", "lease_seconds")), itemgetter(0))
    for seconds, pairs in by_length:
        while part := [id for _, id in islice(pairs, _BATCH)]:
            Job.objects.filter(id__in=part).update(lease_expires_at=now + timedelta(seconds=seconds))


@transaction.atomic
def _expire_some(now: datetime, *, sparing: Collection[int]) -> Expiry:
    """Ends up to 500 leases, those first that ran out first, except of some clusters."""
    out = Job.objects.filter(lease_expires_at__lt=now).exclude(cluster_id__in=sparing)
    out = out.defer("output", "command", "environment")
    jobs = list(out.order_by("lease_expires_at").select_for_update(skip_locked=True)[:_BATCH])
    never_started = [job for job in jobs if job.state == JobState.ACCEPTED and not job.native_id]
    started = [job for job in jobs if job.state != JobState.ACCEPTED or job.native_id]
    wanted = [job for job in never_started if not job.cancel_requested_at]
    unwanted = [job for job in never_started if job.cancel_requested_at]
    again = [job for job in started if job.on_lost == OnLost.REQUEUE and not job.cancel_requested_at]
    later = [job for job in started if job.on_lost != OnLost.REQUEUE and lost_to_be_retried(job)]
    stopped = _stop(unwanted, now)
    settled = settle(stopped, now=now)
    steps = [
        *_lose(started, now),
        *stopped,
        *settled.steps,
        *put_back(wanted, reason=_NEVER_STARTED, now=now),
        *put_back(again, reason=f"{_SILENT}, and the job wished to be put back", now=now),
        *retry([AttemptEnd(job=job, ended_at=now, reason=_SILENT) for job in later], now=now),
        *release_free(settled, now=now),
    ]
    record([(step, None) for step in steps], now=now)
    return Expiry(
        requeued=len(wanted) + len(again) + len(later),
        cancelled=len(unwanted),
        lost=len(started) - len(again) - len(later),
    )


def _lose(jobs: Sequence[Job], now: datetime) -> list[Step]:
    Job.objects.filter(id__in=[job.id for job in jobs]).update(
        state=JobState.LOST, lost_at=now, reason=_SILENT, lease_seconds=None, lease_expires_at=None
    )
    steps = [replace(Step.of(job, What.LOST, JobState.LOST), why=_SILENT) for job in jobs]
    for job in jobs:
        job.state = JobState.LOST
    return steps


def _stop(jobs: Sequence[Job], now: datetime) -> list[Step]:
    Job.objects.filter(id__in=[job.id for job in jobs]).update(
        state=JobState.CANCELLED, finished_at=now, lease_seconds=None, lease_expires_at=None
    )
    return [replace(Step.of(job, What.CANCELLED, JobState.CANCELLED), why=_NEVER_STARTED) for job in jobs]
