"""Cancelling jobs that wait although their person or project may no longer use what they were submitted to."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import QuerySet

from clusters.models import Withdrawal
from jobs.events import Step, record
from jobs.models import Job, JobQuerySet
from jobs.queries.withdrawn import MAY_STILL_RUN, WITHDRAWN
from jobs.services.dependents import settle_and_release
from jobs.sql.updates import in_parts
from jobs.states import UNTAKEN, JobState, What

# Waiting jobs that one transaction looks at.
_BATCH = 500
# A submission that was admitted before a change may be committed after it.
_SETTLES_AFTER = timedelta(seconds=5)


def cancel_withdrawn(*, cluster_id: int, job_ids: Iterable[int], now: datetime) -> list[Step]:
    """Cancels those of the jobs in a cluster's reach, and returns the steps to record. Call it in a transaction."""
    parts = in_parts(job_ids)
    return [step for ids in parts for step in _cancel(Job.objects.filter(id__in=ids).in_reach_of(cluster_id), now)]


def withdrawals_are_due(*, now: datetime) -> bool:
    return _due(now).exists()


@transaction.atomic
def settle_withdrawal(*, now: datetime) -> int | None:
    """Cancels those of the next 500 waiting jobs of a person or project that may no longer run; returns how many.

    Each withdrawal walks once over the waiting jobs of whom it concerns, and no others. None when no more are due, or
    other servers are at them.
    """
    due = _due(now).select_for_update(skip_locked=True).order_by("id").first()
    if due is None:
        return None
    holder = {"owner_id": due.person_id} if due.person_id else {"project_id": due.project_id}
    waiting = Job.objects.filter(id__gt=due.walked_to, **holder).order_by("id").values_list("id", flat=True)
    ids = sorted(id for state in UNTAKEN for id in waiting.filter(state=state)[:_BATCH])[:_BATCH]
    steps = _cancel(Job.objects.filter(id__in=ids), now)
    more = len(ids) == _BATCH
    Withdrawal.objects.filter(id=due.id).update(
        walked_to=ids[-1] if ids else due.walked_to, settled_at=None if more else now
    )
    followed = settle_and_release(steps, now=now)
    record([(step, None) for step in (*steps, *followed)], now=now)
    return len(steps)


def _due(now: datetime) -> QuerySet[Withdrawal]:
    return Withdrawal.objects.filter(settled_at__isnull=True, at__lte=now - _SETTLES_AFTER)


def _cancel(among: JobQuerySet, now: datetime) -> list[Step]:
    waiting = among.filter(~MAY_STILL_RUN, state__in=UNTAKEN, project__isnull=False)
    found = waiting.defer("output", "command", "environment")
    # What another transaction holds is skipped: this one may hold jobs of higher ids.
    jobs = list(found.order_by("id").select_for_update(skip_locked=True, of=("self",)))
    ids = [job.id for job in jobs]
    Job.objects.filter(id__in=ids).update(state=JobState.CANCELLED, finished_at=now, reason=WITHDRAWN)
    return [replace(Step.of(job, What.CANCELLED, JobState.CANCELLED), why=WITHDRAWN) for job in jobs]
