"""`manage.py check_records` finds what does not agree, and mends what the other records tell."""

import json
import re
from datetime import datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from jobs.models import Job, Queue, Serves
from jobs.queries.checks.finding import ranges_of
from jobs.services.accept import accept_jobs
from jobs.services.pools import Member, create_pool
from jobs.states import JobState
from tests.support.lives import handed_over, job_in
from tests.support.planner import gather_statistics
from tests.support.queue import counted, recounted, submitted

JOBS = "jobs_job"


@pytest.fixture
def jobs(alpha: Any, beta: Any) -> dict[str, int]:
    """A sound job in each state, by that, and what they name."""
    then = timezone.now() - timedelta(minutes=2)
    create_pool(name="any", members=[Member(cluster="alpha", after_seconds=0)], by=None, reason="", now=then)
    submitted(beta, now=then)
    made = {state.value: job_in(state, alpha, now=then, labels={"a": "b"}) for state in JobState}
    return made | {"handed over": handed_over(alpha, now=then)}


def check(*words: str) -> list[dict[str, Any]]:
    said = StringIO()
    try:
        call_command("check_records", "--json", *words, stdout=said)
    except SystemExit as end:
        assert end.code == 1
        return [json.loads(line) for line in said.getvalue().splitlines()]
    assert said.getvalue() == ""
    return []


def execute(statement: str, *values: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)


def test_sound_records_have_no_findings(jobs: dict[str, int]) -> None:
    said = StringIO()

    call_command("check_records", stdout=said)

    assert said.getvalue() == "The records agree with one another.\n"


# What breaks the records, and what is said of the job then; %s is its id.
BROKEN = [
    ("completed", "UPDATE jobs_job SET state = 'failed' WHERE id = %s", "lead to completed at attempt 1; it is failed"),
    ("running", "UPDATE jobs_job SET attempt = 2 WHERE id = %s", "lead to running at attempt 1; it is running at"),
    ("failed", "DELETE FROM jobs_jobevent WHERE job_id = %s", "has no events"),
    ("lost", "DELETE FROM jobs_jobevent WHERE what = 'submitted' AND job_id = %s", "and not its submission"),
    (
        "completed",
        "UPDATE jobs_jobevent SET state = 'cancelled' WHERE what = 'accepted' AND job_id = %s",
        "ended (completed, attempt 1), cannot follow accepted (cancelled, attempt 1)",
    ),
    ("queued", "DELETE FROM jobs_joblabel WHERE job_id = %s", "its labels are not those that it is found by"),
    ("running", "UPDATE jobs_joblabel SET value = 'c' WHERE job_id = %s", "its labels are not those"),
    ("queued", "UPDATE jobs_job SET queue_id = NULL WHERE id = %s", "waits in no queue"),
    ("queued", "UPDATE jobs_job SET queue_id = 2000000000 WHERE id = %s", "waits in no queue"),
    (
        "queued",
        "UPDATE jobs_job SET queue_id = (SELECT q.id FROM jobs_queue q JOIN clusters_cluster c ON c.id = q.cluster_id "
        "WHERE c.name = 'beta') WHERE id = %s",
        "waits in a queue of another cluster or pool",
    ),
    ("running", "UPDATE jobs_job SET lease_expires_at = NULL WHERE id = %s", "an agent holds it without a lease"),
    (
        "running",
        "UPDATE jobs_job SET cluster_id = (SELECT id FROM clusters_cluster WHERE name = 'any') WHERE id = %s",
        "is in the hands of a pool, which runs no jobs",
    ),
    (
        "running",
        "UPDATE jobs_job SET taken_from_id = (SELECT id FROM clusters_cluster WHERE name = 'beta') WHERE id = %s",
        "was taken from what is no pool",
    ),
    (
        "running",
        "UPDATE jobs_job SET submitted_by_id = (SELECT MIN(id) FROM clusters_credential WHERE kind = 'secret') "
        "WHERE id = %s",
        "was submitted with a credential that is no token",
    ),
]


@pytest.mark.parametrize(("which", "statement", "says"), BROKEN, ids=range(len(BROKEN)))
def test_a_job_that_is_not_sound_is_found(jobs: dict[str, int], which: str, statement: str, says: str) -> None:
    execute(statement, jobs[which])

    of_jobs = [one for one in check() if one["table"] == JOBS]

    assert [one["row"] for one in of_jobs] == [jobs[which]]
    assert says in of_jobs[0]["says"]


# The same of other rows: the table, what breaks it, and what is said.
OTHERS = [
    (
        "jobs_serves",
        "UPDATE jobs_serves SET cluster_id = (SELECT id FROM clusters_cluster WHERE name = 'beta') WHERE id = "
        "(SELECT MIN(s.id) FROM jobs_serves s JOIN clusters_cluster c ON c.id = s.cluster_id WHERE c.name = 'alpha')",
        "serves a queue of another cluster, or of a pool that it is not in",
    ),
    (
        "clusters_poolmember",
        "UPDATE clusters_poolmember SET pool_id = (SELECT id FROM clusters_cluster WHERE name = 'beta')",
        "is a member of what is no pool",
    ),
    (
        "clusters_poolmember",
        "UPDATE clusters_poolmember SET cluster_id = pool_id, pool_id = cluster_id",
        "is a member that is a pool itself",
    ),
    ("clusters_credential", "UPDATE clusters_credential SET digest = '12' WHERE id = (SELECT MIN(id) FROM "
     "clusters_credential)", "its digest is no SHA-256"),
    (
        "clusters_credential",
        "UPDATE clusters_credential SET kind = 'secret' "
        "WHERE cluster_id = (SELECT id FROM clusters_cluster WHERE pool)",
        "is the secret of a pool, which never asks for jobs",
    ),
    (
        "clusters_cluster",
        "UPDATE jobs_jobcount SET jobs = jobs + 5 WHERE state = 'completed'",
        "alpha, completed, priority 0: 6 are counted, 1 there",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("table", "statement", "says"), OTHERS, ids=range(len(OTHERS)))
def test_another_row_that_is_not_sound_is_found(jobs: dict[str, int], table: str, statement: str, says: str) -> None:
    execute(statement)

    assert (table, says) in {(one["table"], one["says"]) for one in check()}


def test_findings_are_lines_with_the_row(jobs: dict[str, int]) -> None:
    execute("UPDATE jobs_job SET lease_expires_at = NULL WHERE id = %s", jobs["running"])
    said = StringIO()

    with pytest.raises(SystemExit, match="1"):
        call_command("check_records", stdout=said)

    assert said.getvalue() == f"jobs_job {jobs['running']}: an agent holds it without a lease\n"


def test_a_job_that_was_just_queued_by_an_earlier_release_is_no_finding(alpha: Any) -> None:
    (job_id,) = submitted(alpha, now=timezone.now())

    Job.objects.filter(id=job_id).update(queue=None)

    assert check() == []


def test_counters_are_mended(jobs: dict[str, int]) -> None:
    execute("UPDATE jobs_jobcount SET jobs = jobs + 5 WHERE state = 'completed'")
    execute("DELETE FROM jobs_jobcount WHERE state = 'running'")

    found = check("--mend", "counters")

    assert {one["check"] for one in found} == {"counters"}
    assert len(found) == 2
    assert counted() == recounted()
    assert check() == []


def test_waiting_jobs_are_put_into_their_queues(jobs: dict[str, int], alpha: Any, now: datetime) -> None:
    ids = [jobs["queued"], *submitted(alpha, 2, now=now)]
    execute(f"UPDATE jobs_job SET queue_id = 2000000000 WHERE id IN ({', '.join(map(str, ids))})")

    assert len(check("--mend", "queues")) == 3

    assert check() == []
    served = Serves.objects.filter(cluster=alpha.cluster).values("queue_id")
    assert Job.objects.filter(id__in=ids, queue_id__in=served).count() == 3
    taken = accept_jobs(caller=alpha.puller, job_ids=ids, agent="agent-1", now=now)
    assert len(taken.accepted) == 3


def test_without_mend_nothing_is_changed(jobs: dict[str, int]) -> None:
    execute("UPDATE jobs_jobcount SET jobs = jobs + 5 WHERE state = 'completed'")
    execute("UPDATE jobs_job SET queue_id = NULL WHERE id = %s", jobs["queued"])

    with CaptureQueriesContext(connection) as queries:
        assert len(check()) == 2

    assert not [one["sql"] for one in queries if re.search(r"\b(INSERT|UPDATE|DELETE|LOCK)\b", one["sql"])]


def test_a_database_that_is_not_migrated_is_refused(db: None) -> None:
    execute("DELETE FROM django_migrations WHERE app = 'jobs' AND name >= '0016'")

    with pytest.raises(CommandError, match="not up to date"):
        call_command("check_records")


def test_a_table_is_read_in_pieces(alpha: Any, now: datetime) -> None:
    submitted(alpha, 2_500, now=now)

    ranges = list(ranges_of(JOBS))

    assert len(ranges) == 3
    assert ranges[0].last == ranges[1].after
    assert not list(ranges_of(Queue._meta.db_table))[1:]


def test_the_pieces_are_found_by_their_ids(alpha: Any, now: datetime) -> None:
    submitted(alpha, 20_000, now=now, labels={"a": "b"})
    gather_statistics()
    with CaptureQueriesContext(connection) as queries:
        check()
    tables = rf"FROM ({JOBS}|jobs_jobevent|jobs_joblabel) t "
    pieces = [one["sql"] for one in queries if re.search(tables, one["sql"])]
    explain = "EXPLAIN" if connection.vendor == "postgresql" else "EXPLAIN QUERY PLAN"

    assert len(pieces) == 20 * 5
    with connection.cursor() as cursor:
        for statement in pieces:
            cursor.execute(f"{explain} {statement}")
            plan = "\n".join(str(row[-1]) for row in cursor.fetchall())
            assert not re.search(rf"Seq Scan on ({JOBS}|jobs_jobevent|jobs_joblabel)\b|SCAN [tel]\b", plan), (
                f"{statement}\n{plan}"
            )
