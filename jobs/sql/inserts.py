"""INSERTs of jobs, events, labels, counts and activity."""

import threading
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from clusters.sql.cursors import vendor
from clusters.sql.moments import timestamp
from jobs.models import GroupCount, Job, JobActivity, JobCount, JobEvent, JobLabel
from jobs.sql.statements import Columns, Row, Statement, insert, insertion
from jobs.states import Span

_COUNT = JobCount._meta.db_table
_GROUP_COUNT = GroupCount._meta.db_table
_ACTIVITY = JobActivity._meta.db_table
# On PostgreSQL a writer adds to one of these, so that commits seldom wait for each other's counts.
_SLOTS = 16
_SPANS = sorted(Span)


def insert_jobs(columns: Columns) -> list[Row]:
    """Adds jobs and returns (id, cluster_id, idempotency_key) of each, in their order.

    A row whose key is taken in its cluster is left out.
    """
    further = (
        "ON CONFLICT ((COALESCE(submitted_to_id, cluster_id)), idempotency_key) WHERE idempotency_key IS NOT NULL "
        "DO NOTHING "
        "RETURNING id, cluster_id, idempotency_key"
    )
    # Ids rise in the order of insertion; the order in which RETURNING lists them is not promised.
    return sorted(insert(Job, columns, further), key=lambda row: row[0])


def insert_whole_jobs(columns: Columns) -> list[int]:
    """Adds jobs in any state and returns their ids in their order."""
    return sorted(row[0] for row in insert(Job, columns, "RETURNING id"))


def events_added(columns: Columns) -> list[Statement]:
    return insertion(JobEvent, columns)


def insert_labels(labeled: Iterable[tuple[int, Mapping[str, str]]]) -> None:
    """Adds the labels of each job, by its id."""
    rows = [(job_id, key, value) for job_id, labels in labeled for key, value in labels.items()]
    columns: Columns = {
        "job_id": [job_id for job_id, _, _ in rows],
        "key": [key for _, key, _ in rows],
        "value": [value for _, _, value in rows],
    }
    insert(JobLabel, columns)


def counts_added(changes: Mapping[tuple[int, str, int], int]) -> list[Statement]:
    """Adds to the counts by (cluster_id, state, priority).

    In the lock order (docs/development.md): by key, once in a transaction, and last.
    """
    changed = sorted((key, jobs) for key, jobs in changes.items() if jobs)
    columns: Columns = {
        "cluster_id": [cluster_id for (cluster_id, _, _), _ in changed],
        "state": [state for (_, state, _), _ in changed],
        "priority": [priority for (_, _, priority), _ in changed],
        "slot": [slot()] * len(changed),
        "jobs": [jobs for _, jobs in changed],
    }
    further = f"ON CONFLICT (cluster_id, state, priority, slot) DO UPDATE SET jobs = {_COUNT}.jobs + excluded.jobs"
    return insertion(JobCount, columns, further)


def group_counts_added(changes: Mapping[tuple[int, str], int]) -> list[Statement]:
    """Adds to the counts of groups by (group, state), in the lock order: by key, after the counts."""
    changed = sorted((key, jobs) for key, jobs in changes.items() if jobs)
    if not changed:
        return []
    columns: Columns = {
        "group_id": [group for (group, _), _ in changed],
        "state": [state for (_, state), _ in changed],
        "slot": [slot()] * len(changed),
        "jobs": [jobs for _, jobs in changed],
    }
    further = f"ON CONFLICT (group_id, state, slot) DO UPDATE SET jobs = {_GROUP_COUNT}.jobs + excluded.jobs"
    return insertion(GroupCount, columns, further)


def activity_added(changes: Mapping[tuple[int, str], int], now: datetime) -> list[Statement]:
    """Adds to the activity by (cluster_id, what) around this time, in the lock order: by key, after the counts."""
    if not changes:
        return []
    stretches = [(span.value, timestamp(beginning(span, now))) for span in _SPANS]
    ordered = sorted(changes.items())
    return _activity([(*stretch, *key, jobs) for stretch in stretches for key, jobs in ordered], slot())


def activity_totals_added(totals: Mapping[tuple[Span, datetime, int, str], int], *, slot: int = 0) -> list[Statement]:
    """Adds to the activity by (span, began_at, cluster_id, what), in the order of these."""
    ordered = sorted(totals.items())
    rows = [
        (span.value, timestamp(began_at), cluster_id, what, jobs)
        for (span, began_at, cluster_id, what), jobs in ordered
    ]
    return _activity(rows, slot)


def _activity(rows: Sequence[Row], slot: int) -> list[Statement]:
    columns: Columns = {
        "span_seconds": [span for span, *_ in rows],
        "began_at": [began_at for _, began_at, *_ in rows],
        "cluster_id": [cluster_id for _, _, cluster_id, *_ in rows],
        "what": [what for *_, what, _ in rows],
        "slot": [slot] * len(rows),
        "jobs": [jobs for *_, jobs in rows],
    }
    further = (
        "ON CONFLICT (span_seconds, began_at, cluster_id, what, slot) "
        f"DO UPDATE SET jobs = {_ACTIVITY}.jobs + excluded.jobs"
    )
    return insertion(JobActivity, columns, further)


def beginning(span: Span, now: datetime) -> datetime:
    """When the stretch of this length began that `now` lies in; stretches are counted from 1970, in UTC."""
    seconds = int(now.timestamp())
    return datetime.fromtimestamp(seconds - seconds % span.value, UTC)


def slot() -> int:
    return threading.get_native_id() % _SLOTS if vendor() == "postgresql" else 0
