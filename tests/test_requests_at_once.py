"""Requests that come at once: each is answered as if it came alone, and PostgreSQL is asked once for many."""

from collections.abc import Callable
from datetime import datetime
from random import Random
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from clusters.bounds import Bounds
from clusters.services.pause import pause_cluster, resume_cluster
from jobs.models import Job
from jobs.queries.queue import Request, answer_requests, request_jobs
from jobs.services.priority import change_priority
from rainbow.errors import RainbowError
from tests.conftest import registered
from tests.support.members import caller_with
from tests.support.queue import operator_named, submitted

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("limits_are_known")]

LONG = "x" * 3_000


@pytest.fixture
def members(now: datetime) -> list[Any]:
    return [registered(f"cluster-{number}", now) for number in range(6)]


def answers(requests: list[Request], now: datetime) -> list[Any]:
    """For each request the jobs, with all that is told of them, or what it was refused for."""
    return [told(found) for found in answer_requests(requests, now=now)]


def told(found: Any) -> Any:
    return str(found) if isinstance(found, RainbowError) else [all_of(job) for job in found]


def all_of(job: Any) -> dict[str, Any]:
    return {name: getattr(job, name) for name in ("id", "attempt", "command", "name", "nodes", "priority", "labels")}


def alone(request: Request, now: datetime) -> Any:
    try:
        return told(
            request_jobs(
                caller=request.caller, bounds=request.bounds, limit=request.limit, shared=request.shared, now=now
            )
        )
    except RainbowError as error:
        return str(error)


def statements_of(work: Callable[[], object]) -> list[str]:
    with CaptureQueriesContext(connection) as captured:
        work()
    return [query["sql"] for query in captured]


def test_each_is_answered_as_if_it_came_alone(members: list[Any], now: datetime) -> None:
    random = Random(15)
    for member in members[:5]:
        for _ in range(random.choice([1, 3, 80])):
            labels = random.choice([{}, {"a": "b"}])
            submitted(
                member, now=now, command=random.choice(["true", LONG]), nodes=random.choice([1, 9]), labels=labels
            )
    requests = [
        Request(
            caller=random.choice(members).puller,
            bounds=Bounds(max_nodes=random.choice([0, 0, 4, -1]), labels=random.choice([{}, {}, {"a": "b"}])),
            limit=random.choice([0, 1, 10, 60]),
            shared=random.choice([True, False]),
        )
        for _ in range(60)
    ]

    for _ in range(3):
        assert answers(requests, now) == [alone(request, now) for request in requests]


def test_what_is_kept_of_jobs_is_never_old(members: list[Any], now: datetime) -> None:
    member, other = members[:2]
    first, second = submitted(member, 2, now=now, command="true")
    requests = [Request(caller=member.puller, limit=2), Request(caller=other.puller, limit=2)]
    answers(requests, now)

    change_priority(by=operator_named("olga"), job_ids=[second], priority=7, reason="first", now=now)
    ((one, two), none) = answers(requests, now)
    assert [(one["id"], one["priority"]), (two["id"], two["priority"])] == [(second, 7), (first, 0)]
    assert none == []

    # As after the ids began anew.
    Job.objects.filter(id=second).update(command="false", attempt=3)
    ((one, two), _) = answers(requests, now)
    assert (one["command"], one["attempt"], two["command"]) == ("false", 3, "true")


def test_a_cluster_that_is_paused_or_has_further_queues_since_is_answered_as_it_is_now(
    members: list[Any], now: datetime
) -> None:
    for member in members[:3]:
        submitted(member, 2, now=now)

    def numbers() -> list[int]:
        callers = [caller_with(member.secret, now=now) for member in members[:3]]
        return [len(found) for found in answers([Request(caller=caller, limit=5) for caller in callers], now)]

    assert numbers() == [2, 2, 2]
    submitted(members[0], 2, now=now, nodes=40)
    by = operator_named("olga")
    pause_cluster(cluster_id=members[1].cluster.id, reason="cooling", by=by, now=now)
    assert numbers() == [4, 0, 2]
    resume_cluster(cluster_id=members[1].cluster.id, by=by, now=now)
    assert numbers() == [4, 2, 2]


@pytest.mark.usefixtures("postgresql_only")
def test_postgresql_is_asked_once_for_a_hundred_jobs_of_requests(members: list[Any], now: datetime) -> None:
    for member in members:
        submitted(member, 20, now=now)
    requests = [Request(caller=member.puller, limit=10) for member in members]
    answers(requests, now)

    assert len(statements_of(lambda: answers(requests, now))) == 1
    # As many as may be in memory at once, however long their texts.
    assert len(statements_of(lambda: answers(requests * 5, now))) == 3


@pytest.mark.usefixtures("postgresql_only")
def test_rows_that_are_read_ahead_are_read_along_the_queue(members: list[Any], now: datetime) -> None:
    for member in members:
        submitted(member, 400, now=now)
    requests = [Request(caller=member.puller, limit=10) for member in members]
    answers(requests, now)

    (statement,) = statements_of(lambda: answers(requests, now))
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
        cursor.execute(f"EXPLAIN (COSTS OFF) {statement}")
        plan = "\n".join(row[0] for row in cursor.fetchall())

    assert "job_by_turn" in plan
    assert "Sort" not in plan
