"""Lists of jobs over REST: pages that lose and repeat nothing, filters, and what they cost."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from jobs.models import Job
from jobs.rest.job_rows import kept_jobs
from jobs.states import JobState
from tests.conftest import Member
from tests.support.planner import empty_the_tables_of_jobs, gather_statistics
from tests.support.queue import submitted
from tests.support.rest import Rest, fields_at_fault, puller, submitter
from tests.test_rest_operators import signed_in

pytestmark = pytest.mark.django_db
# Enough for both databases to prefer an index to reading the table. The benchmark looks at a million.
MANY = 20_000


def walked(guest: Rest, path: str, between: Any = lambda: None) -> list[int]:
    """The ids on all pages, from the first to the last, with something done between them."""
    ids: list[int] = []
    page = guest.get(path).json()
    while True:
        ids += [job["id"] for job in page["results"]]
        if not page["next"]:
            return ids
        between()
        page = guest.client.get(page["next"], headers=guest.headers).json()


def ids_on(guest: Rest, query: str) -> list[int]:
    response = guest.get(f"jobs?{query}")
    assert response.status_code == 200, response.content
    return [job["id"] for job in response.json()["results"]]


@pytest.mark.parametrize("ordering", ["-id", "id"])
def test_pages_lose_and_repeat_no_job_while_others_come_in(alpha: Member, now: datetime, ordering: str) -> None:
    before = submitted(alpha, 25, now=now)

    found = walked(submitter(alpha), f"jobs?page_size=4&ordering={ordering}", lambda: submitted(alpha, 1, now=now))

    assert len(found) == len(set(found))
    assert found == sorted(found, reverse=ordering == "-id")
    assert set(before) <= set(found)


def test_the_next_page_keeps_the_filters(alpha: Member, now: datetime) -> None:
    wanted = submitted(alpha, 5, now=now, labels={"team": "physics", "run": "7"})
    submitted(alpha, 5, now=now, labels={"team": "physics"})

    query = "page_size=2&state=queued&state=accepted&label=team%3Dphysics&label=run%3D7"

    assert walked(submitter(alpha), f"jobs?{query}") == sorted(wanted, reverse=True)


def test_filters_find_what_they_say(alpha: Member, beta: Member, now: datetime) -> None:
    early = submitted(alpha, 2, now=now, name="early")
    other = submitted(beta, 1, now=now)
    late = submitted(alpha, 2, now=now + timedelta(hours=1), name=" late ")
    taken = late[0]
    puller(alpha).post("clusters/alpha/accept", {"ids": [taken]})
    operator = signed_in("jobs.view_job")
    between = (now + timedelta(minutes=30)).isoformat().replace("+", "%2B")

    assert ids_on(operator, "cluster=beta") == other
    assert ids_on(operator, "cluster=nothing") == []
    assert ids_on(operator, f"cluster=alpha&submitted_before={between}") == early[::-1]
    assert ids_on(operator, f"submitted_after={between}") == late[::-1]
    assert ids_on(operator, "state=accepted") == [taken]
    assert ids_on(operator, "name=early&ordering=id") == early
    assert ids_on(operator, "name=%20late%20") == late[::-1]
    assert ids_on(operator, f"submitted_by={alpha.submitter.credential_id}&page_size=1") == [late[1]]
    assert ids_on(puller(beta), "cluster=alpha") == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("state=asleep", "state"),
        ("state=", "state"),
        ("sate=queued", "sate"),
        ("page_size=0", "page_size"),
        ("page_size=1001", "page_size"),
        ("page_size=1_0", "page_size"),
        ("page_size=" + "9" * 5000, "page_size"),
        ("cursor=-1", "cursor"),
        ("cursor=2147483648", "cursor"),
        ("ordering=priority", "ordering"),
        ("label=team", "label"),
        ("label=a%00=b&label=c=d", "label"),
        ("label=" + "&label=".join(f"k{number}=v" for number in range(33)), "label"),
        ("name=a%00", "name"),
        ("name=" + "x" * 256, "name"),
        ("cluster=-", "cluster"),
        ("submitted_by=x", "submitted_by"),
        ("submitted_after=yesterday", "submitted_after"),
        ("submitted_after=0001-01-01T00:00:00%2B23:59", "submitted_after"),
        ("submitted_before=9999-12-31T23:59:59-12:00", "submitted_before"),
    ],
)
def test_a_parameter_that_cannot_be_is_named(alpha: Member, query: str, field: str) -> None:
    response = submitter(alpha).get(f"jobs?{query}")

    assert response.status_code == 400
    assert fields_at_fault(response) == [field]


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])
@pytest.mark.parametrize("name", ["submitted_after", "submitted_before"])
def test_the_ends_of_the_calendar_are_times_like_others(alpha: Member, name: str, at: str) -> None:
    assert submitter(alpha).get(f"jobs?{name}={at}").status_code == 200


@pytest.fixture
def many_jobs(alpha: Member, beta: Member, now: datetime) -> int:
    """Jobs of two clusters in several states, and statistics of them; gives the id in their middle."""
    series = {
        "sqlite": "WITH RECURSIVE s(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s WHERE i < %s)",
        "postgresql": "WITH s(i) AS (SELECT generate_series(1, %s))",
    }[connection.vendor]
    empty_the_tables_of_jobs()
    with connection.cursor() as cursor:
        cursor.execute(
            f"{series} INSERT INTO jobs_job (cluster_id, submitted_by_id, name, command, nodes, tasks, priority, "
            "time_limit_seconds, environment, working_directory, labels, on_lost, state, submitted_at, "
            "accepted_at, finished_at) SELECT CASE WHEN i %% 3 = 0 THEN %s ELSE %s END, %s, '', 'hostname', 1, 0, 0, "
            "0, '{}', '', '{}', 'keep', CASE WHEN i %% 100 = 0 THEN 'queued' ELSE 'completed' END, %s, %s, "
            "CASE WHEN i %% 100 = 0 THEN NULL ELSE %s END FROM s",
            [MANY, beta.cluster.id, alpha.cluster.id, alpha.submitter.credential_id, now, now, now],
        )
        gather_statistics()
        cursor.execute("SELECT MAX(id) FROM jobs_job")
        return int(cursor.fetchone()[0]) - MANY // 2


def test_a_list_of_a_hundred_costs_the_same_queries_at_any_number_of_jobs(
    alpha: Member, many_jobs: int, now: datetime
) -> None:
    operator = signed_in("jobs.view_job")

    def queries(size: int) -> int:
        with CaptureQueriesContext(connection) as captured:
            page = operator.get(f"jobs?state=queued&cluster=alpha&page_size={size}").json()
        assert len(page["results"]) == size
        return len(captured)

    def first_and_again(size: int) -> tuple[int, int]:
        for kept in kept_jobs.values():
            kept.clear()
        return queries(size), queries(size)

    costs = {size: first_and_again(size) for size in (1, 10, 100)}

    assert len(set(costs.values())) == 1, costs


@pytest.mark.parametrize("query", ["state=queued&cluster=alpha", "state=completed&cluster=beta", "cluster=alpha", ""])
@pytest.mark.parametrize("page", ["page_size=100", "page_size=100&cursor={middle}"])
def test_a_list_by_state_and_cluster_reads_no_table_from_end_to_end(many_jobs: int, query: str, page: str) -> None:
    operator = signed_in("jobs.view_job")

    with CaptureQueriesContext(connection) as captured:
        assert ids_on(operator, f"{query}&{page.format(middle=many_jobs)}".lstrip("&"))

    plans = {sql: plan_of(sql) for sql in (item["sql"] for item in captured) if "FROM jobs_job" in sql}
    assert plans
    for sql, plan in plans.items():
        assert "job_by_" in plan or "jobs_job_pkey" in plan or "INTEGER PRIMARY KEY" in plan, (sql, plan)
        assert "SCAN jobs_job\n" not in f"{plan}\n", (sql, plan)
        assert "Seq Scan on jobs_job" not in plan, (sql, plan)


def plan_of(sql: str) -> str:
    explain = "EXPLAIN QUERY PLAN" if connection.vendor == "sqlite" else "EXPLAIN"
    with connection.cursor() as cursor:
        cursor.execute(f"{explain} {sql}")
        return "\n".join(str(row[-1]) for row in cursor.fetchall())


def test_the_jobs_of_the_fixture_are_real_enough(many_jobs: int) -> None:
    assert Job.objects.filter(state=JobState.QUEUED).count() == MANY // 100
    assert Job.objects.filter(submitted_at__lte=datetime(2027, 1, 1, tzinfo=UTC)).count() == MANY
