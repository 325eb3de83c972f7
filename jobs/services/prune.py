"""Deleting old records."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple, TypeVar

from django.db import transaction

from jobs.models import JobGroup
from jobs.sql.groups import groups_without_members
from jobs.sql.inserts import counts_added, group_counts_added
from jobs.sql.old_jobs import delete_jobs, jobs_handed_over, jobs_that_ended, note_ends_of_handed_over
from jobs.sql.statements import run_in_order

_BATCH = 1_000

Key = TypeVar("Key")


class OldJob(NamedTuple):
    id: int
    cluster_id: int
    state: str
    priority: int
    group: int


def prune_jobs(*, before: datetime) -> int:
    """Deletes jobs that ended before a time, and those handed over for good before it; returns how many.

    And groups that are finished, once their members are deleted.

    Works in short transactions: other writers wait only briefly, and it may be interrupted at any moment.
    """
    deleted = sum(_until_none(prune, before) for prune in (prune_ended, prune_handed_over))
    _until_none(prune_groups, before)
    return deleted


@transaction.atomic
def prune_ended(*, before: datetime, limit: int) -> int:
    """Deletes so many of the jobs that ended before a time, the oldest first; returns how many."""
    rows = jobs_that_ended(before=before, limit=limit)
    return _prune([OldJob(*row) for row in rows])


@transaction.atomic
def prune_handed_over(*, before: datetime, limit: int) -> int:
    """The same of the jobs that were handed over for good."""
    note_ends_of_handed_over(before=before, limit=limit)
    rows = jobs_handed_over(before=before, limit=limit)
    return _prune([OldJob(*row) for row in rows])


def prune_groups(*, before: datetime, limit: int) -> int:
    """Deletes so many of the groups that were finished before a time and whose members are pruned; returns how many."""
    return (
        JobGroup.objects.filter(id__in=groups_without_members(before=before, limit=limit))
        .delete()[1]
        .get(JobGroup._meta.label, 0)
    )


def _until_none(prune: Callable[..., int], before: datetime) -> int:
    deleted = 0
    while number := prune(before=before, limit=_BATCH):
        deleted += number
    return deleted


def _prune(jobs: Sequence[OldJob]) -> int:
    """Deletes jobs, and takes them off the counts."""
    if jobs:
        delete_jobs([job.id for job in jobs])
        counted = Counter((job.cluster_id, job.state, job.priority) for job in jobs)
        in_groups = Counter((job.group, job.state) for job in jobs if job.group)
        run_in_order([*counts_added(_less(counted)), *group_counts_added(_less(in_groups))])
    return len(jobs)


def _less(counted: Mapping[Key, int]) -> dict[Key, int]:
    return {key: -number for key, number in counted.items()}
