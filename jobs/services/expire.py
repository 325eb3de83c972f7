"""Ending the leases of agents that fell silent."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Count, Q

from jobs.events import Step, record
from jobs.models import Job, LeaseWatch
from jobs.services.requeue import put_back
from jobs.states import JobState, OnLost, What

# How often one of the servers looks.
EVERY = timedelta(seconds=5)
# Nobody looked for so long: no server ran, and no agent could be heard.
OUTAGE = timedelta(seconds=30)
# When so many agents hold leases and more than half of them fall silent at once, it is rather the network.
MANY_AGENTS = 3
HOLD_AT_MOST = timedelta(hours=1)
_BATCH = 500
_SILENT = "its agent fell silent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Expiry:
    """What one look did. `held_back` tells that most agents are silent, so that nothing was done."""

    requeued: int = 0
    lost: int = 0
    held_back: bool = False


def expire_leases(*, now: datetime) -> Expiry | None:
    """Ends the leases that ran out; None when another server has looked already.

    A job that its agent never handed to a scheduler returns to the queue as the next attempt. One that may have
    started is lost, and returns to the queue only if its submitter wished so. After an outage of all servers every
    lease runs anew.
    """
    if not _my_turn(now):
        return None
    if _most_are_silent(now):
        return Expiry(held_back=True)
    requeued = lost = 0
    while jobs := _expire_some(now):
        back = sum(job.state == JobState.QUEUED for job in jobs)
        requeued, lost = requeued + back, lost + len(jobs) - back
    return Expiry(requeued=requeued, lost=lost)


@transaction.atomic
def _my_turn(now: datetime) -> bool:
    """Whether this server looks: one conditional update decides, and tells of an outage."""
    watch, _ = LeaseWatch.objects.get_or_create(id=1, defaults={"looked_at": now - OUTAGE})
    turn = LeaseWatch.objects.filter(id=1, looked_at=watch.looked_at, looked_at__lte=now - EVERY)
    if not turn.update(looked_at=now):
        return False
    if now - watch.looked_at >= OUTAGE:
        _run_anew(now)
    return True


def _run_anew(now: datetime) -> None:
    held = Job.objects.filter(lease_expires_at__isnull=False)
    for seconds in held.values_list("lease_seconds", flat=True).distinct().order_by():
        assert seconds is not None  # lease_has_length
        expires_at = now + timedelta(seconds=seconds)
        held.filter(lease_seconds=seconds, lease_expires_at__lt=expires_at).update(lease_expires_at=expires_at)


def _most_are_silent(now: datetime) -> bool:
    """Keeps in mind since when, for the operators to see."""
    silent = Count("id", filter=Q(lease_expires_at__lt=now))
    agents = Job.objects.filter(lease_expires_at__isnull=False).values("cluster_id", "agent").annotate(silent=silent)
    quiet = [agent["silent"] > 0 for agent in agents.order_by()]
    most = len(quiet) >= MANY_AGENTS and sum(quiet) * 2 > len(quiet)
    watch = LeaseWatch.objects.get(id=1)
    since = (watch.held_back_since or now) if most else None
    if since != watch.held_back_since:
        LeaseWatch.objects.filter(id=1).update(held_back_since=since)
    return since is not None and now - since < HOLD_AT_MOST


@transaction.atomic
def _expire_some(now: datetime) -> Sequence[Job]:
    out = Job.objects.filter(lease_expires_at__lt=now).defer("output", "command", "environment")
    jobs = list(out.order_by("lease_expires_at").select_for_update(skip_locked=True)[:_BATCH])
    never_started = [job for job in jobs if job.state == JobState.ACCEPTED and not job.native_id]
    rest = [job for job in jobs if job not in never_started]
    _lose(rest, now)
    again = [job for job in rest if job.on_lost == OnLost.REQUEUE and not job.cancel_requested_at]
    put_back(never_started, by=None, reason=f"{_SILENT} before it handed the job over", now=now)
    put_back(again, by=None, reason=f"{_SILENT}, and the job wished to be put back", now=now)
    for job in (*never_started, *again):
        job.state = JobState.QUEUED
    return jobs


def _lose(jobs: Sequence[Job], now: datetime) -> None:
    Job.objects.filter(id__in=[job.id for job in jobs]).update(
        state=JobState.LOST, lost_at=now, reason=_SILENT, lease_seconds=None, lease_expires_at=None
    )
    record([(Step.of(job, What.LOST, JobState.LOST), None) for job in jobs], now=now, why=_SILENT)
    for job in jobs:
        job.state = JobState.LOST
