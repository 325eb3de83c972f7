"""What a request of a cluster that serves many queues costs PostgreSQL."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from clusters import prepared
from clusters.bounds import Bounds
from jobs.queries.queue import request_jobs
from tests.support.queue import submitted

pytestmark = pytest.mark.django_db(transaction=True)

# As PostgreSQL does before it compares what a kept plan costs.
PLANNED_FIRST = 5


@pytest.fixture
def nothing_prepared() -> Iterator[None]:
    if connection.vendor != "postgresql":
        pytest.skip("needs PostgreSQL; make test-postgresql runs it")
    _forget()
    yield
    _forget()


def _forget() -> None:
    with connection.cursor() as cursor:
        cursor.execute("DEALLOCATE ALL")
    prepared._sessions.clear()


def ask(member: Any, now: datetime) -> list[int]:
    jobs = request_jobs(caller=member.puller, bounds=Bounds(max_nodes=12), limit=10, shared=True, now=now)
    return [job.id for job in jobs]


def test_the_statements_of_a_request_of_many_queues_are_planned_a_few_times_in_all(
    alpha: Any, now: datetime, nothing_prepared: None
) -> None:
    for size in range(3):
        submitted(alpha, 30, now=now, nodes=16, tasks=2**size)
    fitting = [job_id for nodes in (1, 2, 4) for job_id in submitted(alpha, 2, now=now, nodes=nodes)]
    for _ in range(PLANNED_FIRST):
        assert ask(alpha, now) == fitting

    with CaptureQueriesContext(connection) as captured:
        for _ in range(PLANNED_FIRST):
            assert ask(alpha, now) == fitting

    assert {query["sql"].split()[0] for query in captured} <= {"EXECUTE", "DISCARD"}
    assert len([query for query in captured if query["sql"].startswith("EXECUTE")]) == 3 * PLANNED_FIRST
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement, generic_plans, custom_plans FROM pg_prepared_statements")
        planned = {statement: (kept, anew) for statement, kept, anew in cursor.fetchall()}
    assert len(planned) == 3
    assert all(kept and anew <= PLANNED_FIRST for kept, anew in planned.values()), planned
