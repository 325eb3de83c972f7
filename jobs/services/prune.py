"""Deleting old records."""

from collections import Counter
from collections.abc import Callable
from datetime import datetime

from django.db import transaction

from jobs.sql.inserts import counts_added
from jobs.sql.old_jobs import delete_jobs, jobs_handed_over, jobs_that_ended
from jobs.sql.statements import run_in_order

_BATCH = 1_000


def prune_jobs(*, before: datetime) -> int:
    """Deletes jobs that ended before a time, and those handed over for good before it; returns how many.

    Works in short transactions: other writers wait only briefly, and it may be interrupted at any moment.
    """
    return sum(_until_none(prune, before) for prune in (prune_ended, prune_handed_over))


@transaction.atomic
def prune_ended(*, before: datetime, limit: int) -> int:
    """Deletes so many of the jobs that ended before a time, the oldest first; returns how many."""
    rows = jobs_that_ended(before=before, limit=limit)
    return _prune({id: (cluster_id, state, priority) for id, cluster_id, state, priority in rows})


@transaction.atomic
def prune_handed_over(*, before: datetime, limit: int) -> int:
    """The same of the jobs that were handed over for good."""
    rows = jobs_handed_over(before=before, limit=limit)
    return _prune({id: (cluster_id, state, priority) for id, cluster_id, state, priority in rows})


def _until_none(prune: Callable[..., int], before: datetime) -> int:
    deleted = 0
    while number := prune(before=before, limit=_BATCH):
        deleted += number
    return deleted


def _prune(counted: dict[int, tuple[int, str, int]]) -> int:
    """Deletes jobs by id; they are counted by (cluster_id, state, priority)."""
    if counted:
        delete_jobs(list(counted))
        run_in_order(counts_added({key: -number for key, number in Counter(counted.values()).items()}))
    return len(counted)
