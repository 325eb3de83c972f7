"""Ending the leases of agents that fell silent."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import groupby, islice
from operator import itemgetter

from django.db import transaction
from django.db.models import Count, Q

from jobs.events import Step, record
from jobs.models import Job, LeaseWatch
from jobs.services.requeue import put_back
from jobs.states import JobState, OnLost, What

# How often one of the servers looks.
EVERY = timedelta(seconds=5)
# Nobody looked for so long: no server ran, and no agent could be heard. A server looks first when it has run for
# EVERY, so that whatever outlasts a short lease is noticed.
OUTAGE = timedelta(seconds=12)
# When so many agents hold leases and more than half of them fall silent at once, it is rather the network.
MANY_AGENTS = 3
HOLD_AT_MOST = timedelta(hours=1)
_BATCH = 500
_SILENT = "its agent fell silent"
_NEVER_STARTED = f"{_SILENT} before it handed the job over"


@dataclass(frozen=True, slots=True, kw_only=True)
class Expiry:
    """What one look did. `held_back` tells that most agents are silent, so that nothing was done."""

    requeued: int = 0
    cancelled: int = 0
    lost: int = 0
    held_back: bool = False

    @property
    def jobs(self) -> int:
        return self.requeued + self.cancelled + self.lost

    def plus(self, more: "Expiry") -> "Expiry":
        return Expiry(
            requeued=self.requeued + more.requeued,
            cancelled=self.cancelled + more.cancelled,
            lost=self.lost + more.lost,
        )


def expire_leases(*, now: datetime) -> Expiry | None:
    """Ends the leases that ran out; None when another server has looked already.

    A job that its agent never handed to a scheduler returns to the queue as the next attempt, or ends if somebody
    asked for it to stop. One that may have started is lost, and returns to the queue only if its submitter wished
    so. After an outage of all servers every lease runs anew.
    """
    if not _my_turn(now):
        return None
    if _most_are_silent(now):
        return Expiry(held_back=True)
    whole = Expiry()
    while (part := _expire_some(now)).jobs:
        whole = whole.plus(part)
    return whole


@transaction.atomic
def _my_turn(now: datetime) -> bool:
    """Whether this server looks: one conditional update decides, and tells of an outage."""
    watch, _ = LeaseWatch.objects.get_or_create(id=1, defaults={"looked_at": now - OUTAGE})
    # A look in the far future was one of a server whose clock was wrong.
    due = Q(looked_at__lte=now - EVERY) | Q(looked_at__gt=now + HOLD_AT_MOST)
    if not LeaseWatch.objects.filter(due, id=1, looked_at=watch.looked_at).update(looked_at=now):
        return False
    if abs(now - watch.looked_at) >= OUTAGE:
        _run_anew(now)
    return True


def _run_anew(now: datetime) -> None:
    # Whoever locks jobs locks them in the order of their ids.
    held = Job.objects.filter(lease_expires_at__isnull=False).order_by("id").select_for_update()
    by_length = groupby(sorted((seconds, id) for id, seconds in held.values_list("id", "lease_seconds")), itemgetter(0))
    for seconds, pairs in by_length:
        while part := [id for _, id in islice(pairs, _BATCH)]:
            Job.objects.filter(id__in=part).update(lease_expires_at=now + timedelta(seconds=seconds))


def _most_are_silent(now: datetime) -> bool:
    """Whether to hold back. Keeps in mind since when, for the operators to see."""
    watch = LeaseWatch.objects.get(id=1)
    since = (watch.held_back_since or now) if _silence_is_common(now) else None
    if since != watch.held_back_since:
        LeaseWatch.objects.filter(id=1).update(held_back_since=since)
    return since is not None and now - since < HOLD_AT_MOST


def _silence_is_common(now: datetime) -> bool:
    if not Job.objects.filter(lease_expires_at__lt=now).exists():
        return False
    silent = Count("id", filter=Q(lease_expires_at__lt=now))
    agents = Job.objects.filter(lease_expires_at__isnull=False).values("cluster_id", "agent").annotate(silent=silent)
    quiet = [agent["silent"] > 0 for agent in agents.order_by()]
    return len(quiet) >= MANY_AGENTS and sum(quiet) * 2 > len(quiet)


@transaction.atomic
def _expire_some(now: datetime) -> Expiry:
    """Ends up to 500 leases."""
    out = Job.objects.filter(lease_expires_at__lt=now).defer("output", "command", "environment")
    jobs = list(out.order_by("lease_expires_at").select_for_update(skip_locked=True)[:_BATCH])
    never_started = [job for job in jobs if job.state == JobState.ACCEPTED and not job.native_id]
    started = [job for job in jobs if job.state != JobState.ACCEPTED or job.native_id]
    wanted = [job for job in never_started if not job.cancel_requested_at]
    unwanted = [job for job in never_started if job.cancel_requested_at]
    again = [job for job in started if job.on_lost == OnLost.REQUEUE and not job.cancel_requested_at]
    steps = [
        *_lose(started, now),
        *_stop(unwanted, now),
        *put_back(wanted, reason=_NEVER_STARTED),
        *put_back(again, reason=f"{_SILENT}, and the job wished to be put back"),
    ]
    record([(step, None) for step in steps], now=now)
    return Expiry(requeued=len(wanted) + len(again), cancelled=len(unwanted), lost=len(started) - len(again))


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
