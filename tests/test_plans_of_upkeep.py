"""SQLite finds the few jobs that servers ask for again and again, and passes over none that wait."""

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest
from django.db import connection

from jobs.models import Job
from jobs.queries.expired import expired_jobs
from jobs.queries.queue import waits_for_a_queue
from jobs.services.dependents import look_for_missed_ends
from jobs.services.empty_queues import delete_empty_queues
from jobs.services.expire import expire_leases
from jobs.services.give_back import some_may_try_again
from jobs.services.placing import place_waiting_jobs
from jobs.services.prune import prune_ended, prune_handed_over
from jobs.services.retry import retries_are_due
from tests.support.planner import gather_statistics
from tests.support.queue import submitted

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL has statistics, and the values"),
]

WORK: dict[str, Callable[[datetime], object]] = {
    "jobs without a queue": lambda now: waits_for_a_queue(),
    "placing them": lambda now: place_waiting_jobs(now=now),
    "jobs that expire": lambda now: expired_jobs(now=now + timedelta(days=400)),
    "retries": lambda now: retries_are_due(now=now),
    "jobs that no cluster serves": lambda now: some_may_try_again(),
    "empty queues": lambda now: delete_empty_queues(now=now),
    "ends that were missed": lambda now: look_for_missed_ends(),
    "leases that ran out, after an outage": lambda now: expire_leases(now=now, present_since=None),
    "jobs that ended long ago": lambda now: prune_ended(before=now, limit=200),
    "jobs that were handed over long ago": lambda now: prune_handed_over(before=now, limit=200),
}
# Each is of the jobs that it is about alone: but for the first, whose queue is named.
FEW = (
    "job_by_turn (queue_id=?", "job_expires ", "job_blocked_expires ", "job_retry ",
    "job_finished ", "job_handed_over ", "job_lease ", "INTEGER PRIMARY KEY (rowid=?)",
)  # fmt: skip


@pytest.mark.parametrize("work", WORK)
def test_no_job_is_passed_over_that_waits(alpha: Any, now: datetime, work: str) -> None:
    submitted(alpha, 3, now=now, expires_at=now + timedelta(days=1))
    gather_statistics()

    ways = ways_to_jobs(partial(WORK[work], now))

    assert ways
    assert [way for way in ways if not any(few in way for few in FEW)] == []


def ways_to_jobs(work: Callable[[], object]) -> list[str]:
    asked: list[tuple[str, Any]] = []

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        asked.append((sql, params))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        work()
    of_jobs = [one for one in asked if Job._meta.db_table in one[0] and not one[0].startswith("SAVEPOINT")]
    ways = []
    with connection.cursor() as cursor:
        for sql, params in of_jobs:
            cursor.execute(f"EXPLAIN QUERY PLAN {sql}", params)
            ways += [way for *_, way in cursor.fetchall() if _is_to_jobs(sql, way)]
    return ways


def _is_to_jobs(sql: str, way: str) -> bool:
    """SQLite names tables as the statement does."""
    verb, _, rest = way.partition(" ")
    name = rest.partition(" ")[0]
    table = Job._meta.db_table
    return verb in ("SEARCH", "SCAN") and (name == table or any(f"{table}{mark} {name}" in sql for mark in ("", '"')))
