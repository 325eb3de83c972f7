"""Mending what manage.py check_records finds, as far as the other records tell what is right."""

from collections.abc import Collection
from datetime import datetime

from django.db import connection, transaction
from django.db.models import Model

from clusters.models import Allowance
from jobs.models import GroupCount, Job, JobCount
from jobs.placement import PLACING_FIELDS
from jobs.queries.checks.allowances import WrongAllowance, wrong_allowances
from jobs.queries.checks.counts import WrongCount, WrongGroupCount, wrong_counts, wrong_group_counts
from jobs.queries.checks.finding import Range
from jobs.services.placing import put_in_queues
from jobs.sql.allowances import allowances_changed
from jobs.sql.inserts import counts_added, group_counts_added
from jobs.sql.statements import run_in_order
from jobs.states import JobState


@transaction.atomic
def mend_counts(*, cluster_id: int) -> list[WrongCount]:
    """Makes the counts of a cluster what a count of its jobs gives; returns what was wrong.

    No count changes meanwhile: writers wait as long as counting the cluster's jobs takes.
    """
    _lock(JobCount)
    wrong = wrong_counts(cluster_id)
    run_in_order(counts_added({(cluster_id, one.state, one.priority): one.there - one.counted for one in wrong}))
    return wrong


@transaction.atomic
def mend_group_counts(*, groups: Range) -> list[WrongGroupCount]:
    """The same of the members of groups."""
    _lock(GroupCount)
    wrong = wrong_group_counts(groups)
    run_in_order(group_counts_added({(one.group, one.state): one.there - one.counted for one in wrong}))
    return wrong


@transaction.atomic
def mend_allowances() -> list[WrongAllowance]:
    """The same of what persons and projects have."""
    _lock(Allowance)
    wrong = wrong_allowances()
    if wrong:
        run_in_order(allowances_changed({one.key: one.correction for one in wrong}))
    return wrong


def _lock(counts: type[Model]) -> None:
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            # A transaction that has changed jobs and not yet the counts is seen with both, or with neither.
            cursor.execute(f"LOCK TABLE {counts._meta.db_table} IN SHARE ROW EXCLUSIVE MODE")


@transaction.atomic
def mend_queues(*, job_ids: Collection[int], now: datetime) -> int:
    """Puts those of the jobs that wait into the queues for what they are; returns how many."""
    waiting = Job.objects.filter(id__in=job_ids, state=JobState.QUEUED)
    waiting = waiting.only("id", "cluster_id", "submitted_to_id", "given_back", *PLACING_FIELDS)
    jobs = list(waiting.order_by("id").select_for_update())
    put_in_queues(jobs, now=now)
    return len(jobs)
