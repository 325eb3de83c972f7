"""SQLite finds jobs that are named by their ids, and walks no more: it has no statistics to learn from."""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from jobs.models import Job
from jobs.queries.lookup import get_jobs
from jobs.reports import Report
from jobs.services.accept import accept_jobs
from jobs.services.cancel import cancel_jobs
from jobs.services.report import report_jobs
from jobs.states import JobState
from tests.support.planner import gather_statistics
from tests.support.queue import submitted

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL has statistics; test_plans has its plans"),
]

# Fewer than ten would be looked up one by one in any case.
JOBS = 50
AGENT = "agent-1"

# As a list of values, or as one value.
_IDS = r""""?id"? IN \((SELECT value FROM json_each\('\[)?(\d+, ?){9}"""

Call = Callable[[Any, list[int], datetime], object]

CALLS: dict[str, Call] = {
    "report": lambda alpha, ids, now: report_jobs(
        caller=alpha.puller,
        agent=AGENT,
        reports=[Report(job_id=job_id, attempt=1, state=JobState.RUNNING) for job_id in ids],
        now=now,
    ),
    "accept": lambda alpha, ids, now: accept_jobs(caller=alpha.puller, job_ids=ids, agent=AGENT, now=now),
    "cancel": lambda alpha, ids, now: cancel_jobs(by=alpha.puller, job_ids=ids, now=now),
    "cancel by a submitter": lambda alpha, ids, now: cancel_jobs(by=alpha.submitter, job_ids=ids, now=now),
    "look up": lambda alpha, ids, now: get_jobs(by=alpha.puller, job_ids=ids, with_events=True),
    "look up by a submitter": lambda alpha, ids, now: get_jobs(by=alpha.submitter, job_ids=ids),
}


@pytest.mark.parametrize("call", CALLS)
def test_jobs_are_found_by_their_ids(alpha: Any, now: datetime, call: str) -> None:
    gather_statistics()
    ids = submitted(alpha, JOBS, now=now)
    accept_jobs(caller=alpha.puller, job_ids=ids, agent=AGENT, now=now)

    plans = _plans_of(lambda: CALLS[call](alpha, ids, now))

    assert plans
    assert {plan: sql for plan, sql in plans.items() if _walks(plan)} == {}


def _plans_of(work: Callable[[], object]) -> dict[str, str]:
    """How jobs are found in each statement that names more than nine ids."""
    table = Job._meta.db_table
    with CaptureQueriesContext(connection) as captured:
        work()
    named = [query["sql"] for query in captured if re.search(_IDS, query["sql"])]
    found = {}
    with connection.cursor() as cursor:
        for sql in (sql for sql in named if re.match(rf'(SELECT|UPDATE).*"?{table}"?', sql, re.DOTALL)):
            cursor.execute(f"EXPLAIN QUERY PLAN {sql}")
            found["\n".join(str(row[-1]) for row in cursor.fetchall())] = sql
    return found


def _walks(plan: str) -> bool:
    """Whether an index is searched by a column that many jobs share, without the id."""
    searched = re.findall(r"(?:SEARCH|SCAN) (?:jobs_job|j)\b(.*)", plan)
    return any("PRIMARY KEY" not in how and not re.search(r"\bid=\?|rowid=\?", how) for how in searched)
