"""What the database does for a call: the indexes that it uses, and how many statements it runs."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from clusters.bounds import Bounds
from clusters.callers import Claim
from clusters.services.authenticate import admit
from grpc_api.rpcs import jobs, queue
from jobs.models import Job, JobDependency
from jobs.queries.expired import expired_jobs
from jobs.queries.lookup import list_jobs
from jobs.queries.parents import waited_for
from jobs.queries.queue import request_jobs
from jobs.queries.search import Search
from jobs.queries.summaries import summarize_jobs
from jobs.services.accept import accept_jobs
from jobs.services.cancel import cancel_jobs
from jobs.services.dependents import settle_ended_parents
from jobs.services.prune import prune_ended, prune_handed_over
from jobs.sql.reads import jobs_before, oldest_queued
from jobs.sql.statements import quoted
from jobs.sql.waiting import Look, waiting_in, within_bounds
from jobs.states import JobState
from rainbow.protos import rainbow_pb2 as pb
from tests.support.planner import empty_the_tables_of_jobs, gather_statistics
from tests.support.queue import submitted

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("limits_are_known")]

FINISHED, WAITING = 10_240, 200
JOBS, DEPENDENCIES = Job._meta.db_table, JobDependency._meta.db_table


@pytest.fixture
def long_history(alpha: Any, beta: Any, now: datetime) -> list[int]:
    """The ids of alpha's waiting jobs: many finished ones came before them, most of them beta's, which waits too."""
    empty_the_tables_of_jobs()
    for member, number in ((alpha, 1), (beta, 39)):
        ids = submitted(member, number, now=now)
        cancel_jobs(by=member.submitter, job_ids=ids, now=now)
    while Job.objects.count() < FINISHED:
        _double()
    submitted(beta, WAITING, now=now)
    waiting = submitted(alpha, WAITING, now=now, labels={"a": "b"})
    gather_statistics()
    return waiting


def _double() -> None:
    """Copies all jobs."""
    columns = quoted(field.column for field in Job._meta.local_concrete_fields if not field.primary_key)
    with connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO {JOBS} ({columns}) SELECT {columns} FROM {JOBS}")


def statements_of(work: Callable[[], object]) -> list[str]:
    with CaptureQueriesContext(connection) as captured:
        work()
    return [query["sql"] for query in captured]


def plans_of(work: Callable[[], object], *, among: str = JOBS) -> list[str]:
    """How the database finds the jobs, or what else is asked for, in each of the statements that the work runs."""
    explain = "EXPLAIN (COSTS OFF)" if connection.vendor == "postgresql" else "EXPLAIN QUERY PLAN"
    kinds = "SELECT|UPDATE" if among == JOBS else "SELECT|UPDATE|DELETE|INSERT"
    found = [sql for sql in statements_of(work) if re.match(f"({kinds}).*{among}\\b", sql, re.DOTALL)]
    # Those that go to PostgreSQL together.
    statements = [one.strip() for sql in found for one in sql.split("; ") if among in one]
    plans = []
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(f"{explain} {statement}")
            plans.append("\n".join(str(row[-1]) for row in cursor.fetchall()))
    assert plans
    return plans


def walks_the_history(plan: str) -> bool:
    """Whether a plan reads jobs that have nothing to do with the question."""
    by_key_but_not_by_keys = rf"using {JOBS}_pkey on {JOBS}\b[^\n]*\n(?!\s+Index Cond: [^\n]*\bid = )"
    return bool(re.search(rf"(Seq Scan on|SCAN) {JOBS}\b|{by_key_but_not_by_keys}", plan))


def number_that_begins_at_an_id(plan: str) -> int:
    """Of how many ranges the last id is found by the index, and not by reading up to it."""
    return len(re.findall(r"\b(?:id|rowid)<\?|Index Cond: .*\bid\) <= ROW", plan))


def sorts(plan: str) -> bool:
    """Whether the database has to find all that match before it knows the first."""
    return bool(re.search(r"Sort|TEMP B-TREE", plan))


@pytest.mark.parametrize(
    "bounds",
    [Bounds(), Bounds(max_nodes=4), Bounds(max_nodes=4, max_tasks=4, max_time_limit_seconds=60)],
    ids=["any", "nodes", "bounds"],
)
def test_a_request_for_some_jobs_walks_its_own_queue_in_order(
    alpha: Any, long_history: list[int], bounds: Bounds, now: datetime
) -> None:
    queues, first = plans_of(lambda: list(request_jobs(caller=alpha.puller, bounds=bounds, limit=10, now=now)))
    (again,) = plans_of(lambda: list(request_jobs(caller=alpha.puller, bounds=bounds, limit=10, now=now)))

    assert all("job_by_turn" in plan for plan in (queues, first, again))
    assert not any(sorts(plan) for plan in (first, again))
    assert not any(walks_the_history(plan) for plan in (queues, first, again))


def test_a_request_for_all_jobs_reads_what_waits_alone(alpha: Any, long_history: list[int], now: datetime) -> None:
    # More than are read at once.
    submitted(alpha, 4_000, now=now)

    plans = plans_of(lambda: list(request_jobs(caller=alpha.puller, now=now)))

    assert len(plans) > 3
    assert not any(walks_the_history(plan) for plan in plans)


@pytest.mark.parametrize("label", [{"a": "b"}, {"a": "nosuch"}], ids=["of some", "of none"])
def test_a_request_for_a_label_reads_jobs_that_carry_it_by_their_ids(
    alpha: Any, long_history: list[int], now: datetime, label: dict[str, str]
) -> None:
    submitted(alpha, 4_000, now=now)
    gather_statistics()
    bounds = Bounds(labels=label)

    statements = statements_of(lambda: list(request_jobs(caller=alpha.puller, bounds=bounds, limit=10, now=now)))
    plans = plans_of(lambda: list(request_jobs(caller=alpha.puller, bounds=bounds, limit=10, now=now)))

    assert len(statements) <= 5
    # That of the queues that it serves reads the first job of each.
    assert sum("job_by_turn" in plan for plan in plans) <= 1
    assert not any(walks_the_history(plan) for plan in plans)


def test_what_is_behind_a_place_in_a_queue_is_found_without_what_is_before(alpha: Any, long_history: list[int]) -> None:
    queue_id, after = Job.objects.get(id=long_history[100]).queue_id, (0, 0, long_history[100])
    look = Look(queue_id, after, 10)

    def read() -> None:
        rows = waiting_in(queue_id, columns=["priority", "turn", "id"], after=after, limit=10)
        ((*seen,),) = within_bounds([look], at_most={"nodes": 1}, limit=10)
        assert [row[2] for row in rows] == [job.id for job in seen] == long_history[101:111]

    plans = plans_of(read)

    assert len(plans) == 2
    begins_there = r"turn = [^\n]*\bid > |turn=\? AND (id|rowid)>\?"
    assert all(re.search(begins_there, plan) and not walks_the_history(plan) for plan in plans)


def test_accepting_finds_jobs_by_their_ids(alpha: Any, long_history: list[int], now: datetime) -> None:
    plans = plans_of(lambda: accept_jobs(caller=alpha.puller, job_ids=long_history[:10], agent="agent-1", now=now))

    # Nor does it walk the queue, however short the database thinks that is.
    assert not any(walks_the_history(plan) or "job_by_turn" in plan for plan in plans)


@pytest.mark.parametrize("by", ["puller", "submitter"])
@pytest.mark.parametrize("states", [[], [JobState.QUEUED], [JobState.CANCELLED], [JobState.LOST, JobState.QUEUED]])
def test_a_listing_reads_the_end_of_an_index(
    alpha: Any, long_history: list[int], by: str, states: list[JobState]
) -> None:
    search = Search(states=states, size=10)

    # The last statements find out how many jobs fit the page and fetch them, both by their ids.
    ranges, sizes, page = plans_of(lambda: list_jobs(by=getattr(alpha, by), search=search))

    assert ranges.count("job_by_") == len(states or JobState)
    assert not walks_the_history(ranges)
    assert not sorts(ranges)
    assert not walks_the_history(sizes)
    assert not walks_the_history(page)


def test_a_later_page_costs_what_the_first_does(alpha: Any, long_history: list[int]) -> None:
    search = Search(size=10, last=long_history[0])

    ranges, _, _ = plans_of(lambda: list_jobs(by=alpha.puller, search=search))

    assert ranges.count("job_by_") == len(JobState)
    assert number_that_begins_at_an_id(ranges) == len(JobState)
    assert not walks_the_history(ranges)
    assert not sorts(ranges)


@pytest.mark.parametrize("by", ["puller", "submitter"])
@pytest.mark.parametrize(
    "wish",
    [{"text": "nosuch"}, {"name": "nosuch"}, {"labels": {"a": "b"}}, {"cluster_id": 1}],
    ids=lambda wish: next(iter(wish)),
)
def test_a_search_for_more_reads_no_more_than_a_range(
    alpha: Any, long_history: list[int], by: str, wish: dict[str, Any]
) -> None:
    search = Search(states=[JobState.CANCELLED, JobState.LOST], size=10, **wish)

    plans = plans_of(lambda: list_jobs(by=getattr(alpha, by), search=search))

    assert not any(walks_the_history(plan) for plan in plans)
    # PostgreSQL cannot tell how few jobs lie between rows, and would read all of a large table.
    assert not any("ROW(" in plan and "Filter:" in plan for plan in plans)


def test_a_rare_state_is_found_where_its_cluster_and_its_state_are_common(
    alpha: Any, beta: Any, long_history: list[int]
) -> None:
    # Most jobs are beta's, and half of all jobs wait, so that most of beta's seem to wait.
    Job.objects.filter(cluster=beta.cluster).exclude(state=JobState.QUEUED).update(state=JobState.COMPLETED)
    Job.objects.filter(cluster=beta.cluster, state=JobState.QUEUED).delete()
    while Job.objects.filter(cluster=alpha.cluster).count() < FINISHED:
        submitted(alpha, 10_000, now=Job.objects.latest("id").submitted_at)
    gather_statistics()

    (waiting,) = plans_of(lambda: list_jobs(by=beta.puller, search=Search(states=[JobState.QUEUED], size=10)))

    assert "job_by_cluster" in waiting
    assert not walks_the_history(waiting)


def test_postgresql_tidies_up_before_the_queues_index_is_full_of_dead_entries(db: None) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("needs PostgreSQL; make test-postgresql runs it")
    with connection.cursor() as cursor:
        cursor.execute("SELECT reloptions FROM pg_class WHERE relname = %s", [JOBS])
        (options,) = cursor.fetchone()

    assert "autovacuum_vacuum_scale_factor=0.02" in options


def test_expired_jobs_are_not_looked_for_among_those_that_wait_no_longer(
    long_history: list[int], now: datetime
) -> None:
    waiting = Job.objects.in_state(JobState.QUEUED)
    Job.objects.exclude(id__in=waiting.values("id")).update(expires_at=now - timedelta(hours=1))
    waiting.update(expires_at=now + timedelta(hours=1))
    gather_statistics()

    plans = plans_of(lambda: expired_jobs(now=now))

    assert all("job_expires" in plan and "job_blocked_expires" in plan for plan in plans)
    assert not any(walks_the_history(plan) or sorts(plan) for plan in plans)


def test_a_summary_does_not_read_the_jobs(alpha: Any, long_history: list[int]) -> None:
    (oldest,) = plans_of(lambda: summarize_jobs(cluster_ids=[alpha.cluster.id]))

    assert "job_by_cluster" in oldest
    assert not walks_the_history(oldest)
    assert not sorts(oldest)


def test_the_oldest_of_a_short_queue_is_found_past_the_long_queue_of_another(
    alpha: Any, beta: Any, now: datetime
) -> None:
    empty_the_tables_of_jobs()
    submitted(beta, 20_000, now=now)
    submitted(alpha, 1, now=now)
    gather_statistics()

    (plan,) = plans_of(lambda: oldest_queued([alpha.cluster.id]))

    assert "job_by_cluster" in plan
    assert not sorts(plan)
    (bounds,) = [line for line in plan.splitlines() if "Index Cond" in line and "ROW" in line] or [plan]
    assert "cluster_id" in bounds


def test_what_is_before_a_job_is_counted_in_its_queues(alpha: Any, beta: Any, long_history: list[int]) -> None:
    clusters = [alpha.cluster.id, beta.cluster.id]

    (plan,) = plans_of(lambda: jobs_before(clusters, alpha.cluster.id, (0, 0, long_history[-1]), at_most=5_000))

    assert "job_by_turn" in plan
    assert not walks_the_history(plan)
    assert {
        row[0]: row[2] for row in jobs_before(clusters, alpha.cluster.id, (0, 0, long_history[-1]), at_most=150)
    } == {
        alpha.cluster.id: 150,
        beta.cluster.id: 150,
    }


def test_a_duplicate_is_found_by_its_key(alpha: Any, long_history: list[int], now: datetime) -> None:
    submitted(alpha, now=now, idempotency_key="once")

    first, *_ = plans_of(lambda: submitted(alpha, now=now, idempotency_key="once"))

    assert "one_job_per_key" in first


@pytest.mark.parametrize("days", [-1, 1], ids=["nothing", "all"])
def test_what_is_old_is_found_by_its_time(alpha: Any, long_history: list[int], now: datetime, days: int) -> None:
    accept_jobs(caller=alpha.puller, job_ids=long_history, now=now)
    gather_statistics()
    before = now + timedelta(days=days)

    ended, *_ = plans_of(lambda: prune_ended(before=before, limit=200))
    handed_over, *_ = plans_of(lambda: prune_handed_over(before=before, limit=200))

    assert "job_finished" in ended
    assert "job_handed_over" in handed_over
    assert not any(walks_the_history(plan) or sorts(plan) for plan in (ended, handed_over))


def test_deleted_jobs_are_found_by_their_ids(alpha: Any, long_history: list[int], now: datetime) -> None:
    """Django reads what it deletes; of jobs that could be much."""
    statements = statements_of(lambda: prune_ended(before=now + timedelta(days=1), limit=200))

    assert not [sql for sql in statements if "output" in sql]
    explain = "EXPLAIN (COSTS OFF)" if connection.vendor == "postgresql" else "EXPLAIN QUERY PLAN"
    deletes = [sql for sql in statements if sql.startswith("DELETE")]
    assert len(deletes) == 8
    with connection.cursor() as cursor:
        for statement in deletes:
            cursor.execute(f"{explain} {statement}")
            plan = "\n".join(str(row[-1]) for row in cursor.fetchall())
            assert not re.search(r"Seq Scan on jobs_job\b|SCAN jobs_", plan), plan


def test_a_value_is_found_by_its_digest(alpha: Any, now: datetime) -> None:
    if connection.vendor == "postgresql":
        pytest.skip("reads a small table as a whole, which is quicker")
    (statement,) = statements_of(lambda: admit(Claim(value=alpha.token), now=now))

    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {statement}")
        plan = "\n".join(str(row[-1]) for row in cursor.fetchall())

    assert "SCAN" not in plan


# How many statements


def submit_one(member: Any, ids: list[int], now: datetime) -> object:
    return submitted(member, 1, now=now, labels={"a": "b"})


def submit_under_a_key(member: Any, ids: list[int], now: datetime) -> object:
    return submitted(member, 1, now=now, idempotency_key="one more")


def request_ten(member: Any, ids: list[int], now: datetime) -> object:
    return queue.queue_replies([(pb.RequestJobsRequest(maxJobs=10), member.puller)], now)


def accept_ten(member: Any, ids: list[int], now: datetime) -> object:
    return accept_jobs(caller=member.puller, job_ids=ids[:10], agent="agent-1", now=now)


def accept_all(member: Any, ids: list[int], now: datetime) -> object:
    return accept_jobs(caller=member.puller, job_ids=ids[:200], now=now)


def get_all(member: Any, ids: list[int], now: datetime) -> object:
    return jobs.get(pb.GetJobsRequest(jobids=ids, with_events=True), member.puller, now)


def list_all(member: Any, ids: list[int], now: datetime) -> object:
    return jobs.list_page(pb.ListJobsRequest(page_size=1_000), member.submitter, now)


def cancel_all(member: Any, ids: list[int], now: datetime) -> object:
    return jobs.cancel(pb.CancelJobsRequest(jobids=ids[:200]), member.submitter, now)


def summarize(member: Any, ids: list[int], now: datetime) -> object:
    return jobs.summarize(pb.SummarizeJobsRequest(), member.puller, now)


@pytest.mark.parametrize(
    "work",
    [
        submit_one,
        submit_under_a_key,
        request_ten,
        accept_ten,
        accept_all,
        get_all,
        list_all,
        cancel_all,
        summarize,
    ],
)
def test_a_call_runs_as_many_statements_at_a_thousand_jobs_as_at_ten(
    alpha: Any, beta: Any, now: datetime, work: Callable[[Any, list[int], datetime], object]
) -> None:
    few, many = submitted(alpha, 10, now=now), submitted(beta, 1_000, now=now)

    at_ten = len(statements_of(lambda: work(alpha, few, now)))
    at_a_thousand = len(statements_of(lambda: work(beta, many, now)))

    assert at_ten == at_a_thousand
    assert at_ten < 20


def test_many_jobs_are_submitted_in_as_many_statements_as_a_few(alpha: Any, now: datetime) -> None:
    # The first makes the queue.
    submitted(alpha, now=now)
    few = len(statements_of(lambda: submitted(alpha, 10, now=now, labels={"a": "b"})))

    many = len(statements_of(lambda: submitted(alpha, 250, now=now, labels={"a": "b"})))

    assert few == many


@pytest.mark.usefixtures("postgresql_only")
@pytest.mark.parametrize(("server_side_binding", "trips"), [(False, 1), (True, 3)])
@pytest.mark.parametrize("work", [submit_one, accept_ten])
def test_events_and_counts_are_one_round_trip(
    alpha: Any,
    now: datetime,
    monkeypatch: pytest.MonkeyPatch,
    work: Callable[[Any, list[int], datetime], object],
    server_side_binding: bool,
    trips: int,
) -> None:
    ids = submitted(alpha, 10, now=now)
    monkeypatch.setitem(connection.settings_dict["OPTIONS"], "server_side_binding", server_side_binding)

    statements = statements_of(lambda: work(alpha, ids, now))

    assert sum(bool(re.search("INSERT INTO jobs_job(event|count|activity) ", sql)) for sql in statements) == trips


CHILDREN = 2_000


@pytest.fixture
def many_wait(alpha: Any, long_history: list[int], now: datetime) -> tuple[int, list[int]]:
    """A job for which many wait, and others that wait for others."""
    parent, other, *_ = long_history
    submitted(alpha, CHILDREN, now=now, after=(f"any:{other}",))
    children = submitted(alpha, CHILDREN, now=now, after=(f"any:{parent}",))
    gather_statistics()
    return parent, children


def test_those_that_wait_for_a_job_are_found_by_it(alpha: Any, many_wait: tuple[int, list[int]], now: datetime) -> None:
    parent, children = many_wait
    plans = plans_of(lambda: cancel_jobs(by=alpha.submitter, job_ids=[parent], now=now), among=DEPENDENCIES)
    statements: list[str] = []

    batch = plans_of(lambda: settle_ended_parents(now=now), among=DEPENDENCIES)
    statements = statements_of(lambda: settle_ended_parents(now=now))

    for plan in (*plans, *batch):
        assert not re.search(r"(Seq Scan on|SCAN) jobs_(job|jobdependency|jobevent)\b", plan), plan
    # Flat in the number of jobs that wait.
    assert len(statements) < 60
    assert Job.objects.filter(id__in=children, state="queued").count() == CHILDREN


def test_a_submission_finds_what_it_waits_for_by_its_ids(alpha: Any, long_history: list[int], now: datetime) -> None:
    terms = tuple(f"any:{job_id}" for job_id in long_history[:100])

    plans = plans_of(lambda: submitted(alpha, now=now, after=terms))

    assert not any(walks_the_history(plan) for plan in plans)
    assert len(statements_of(lambda: submitted(alpha, now=now, after=terms))) <= 20


def test_it_is_told_what_a_job_waits_for_by_its_dependencies(
    alpha: Any, many_wait: tuple[int, list[int]], now: datetime
) -> None:
    child = Job.objects.get(id=many_wait[1][0])

    plans = plans_of(lambda: waited_for(alpha.submitter, child), among=DEPENDENCIES)

    assert not any(re.search(r"(Seq Scan on|SCAN) jobs_(job|jobdependency)\b", plan) for plan in plans)


def test_old_jobs_are_pruned_without_a_walk_over_those_that_wait(
    alpha: Any, many_wait: tuple[int, list[int]], now: datetime
) -> None:
    plans = plans_of(lambda: prune_ended(before=now + timedelta(days=1), limit=100), among=DEPENDENCIES)
    plans += plans_of(lambda: prune_handed_over(before=now + timedelta(days=1), limit=100), among=DEPENDENCIES)

    assert not any(re.search(r"(Seq Scan on|SCAN) jobs_job\b", plan) for plan in plans)
