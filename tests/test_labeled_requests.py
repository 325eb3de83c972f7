"""Requests for jobs with labels: of a label of few jobs all are found, and of one of many none is passed over."""

from collections.abc import Callable
from datetime import datetime
from random import Random
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from clusters.bounds import Bounds
from clusters.services.turns import change_turns
from jobs.models import Job
from jobs.queries import labeled
from jobs.queries.queue import request_jobs
from jobs.services.accept import accept_jobs
from tests.support.pools import pool_of
from tests.support.queue import submitted

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("limits_are_known")]


@pytest.fixture
def looks_at_ten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labeled, "LOOK_AT", 10)
    monkeypatch.setattr(labeled, "_CHUNK", 4)


def offered(member: Any, now: datetime, limit: int = 0, *, max_nodes: int = 0, **labels: str) -> list[int]:
    bounds = Bounds(max_nodes=max_nodes, labels=labels)
    return [job.id for job in request_jobs(caller=member.puller, bounds=bounds, limit=limit, now=now)]


def statements_of(work: Callable[[], object]) -> int:
    with CaptureQueriesContext(connection) as captured:
        work()
    return len(captured)


def test_those_that_carry_all_labels_are_offered_in_the_order_of_the_queues(alpha: Any, now: datetime) -> None:
    random = Random(15)
    for _ in range(150):
        labels = {key: random.choice("xy") for key in "abc" if random.random() < 0.7}
        submitted(alpha, now=now, labels=labels, priority=random.choice([-1, 0, 5]), nodes=random.choice([1, 3, 20]))

    for _ in range(40):
        wanted = {key: random.choice("xy") for key in random.sample("abc", random.choice([1, 2]))}
        most, limit = random.choice([0, 2, 16]), random.choice([0, 1, 10])
        fitting = Job.objects.filter(nodes__lte=most) if most else Job.objects.all()
        expected = [job.id for job in fitting.order_by("-priority", "id") if wanted.items() <= job.labels.items()]

        assert offered(alpha, now, limit, max_nodes=most, **wanted) == (expected[:limit] if limit else expected)


def test_between_a_cluster_and_its_pools_the_older_next_job_comes_first(alpha: Any, now: datetime) -> None:
    change_turns(cluster_id=alpha.cluster.id, fair=True, by=None, now=now)
    pool = pool_of("alpha", now=now)
    ids = [job_id for place in (alpha, pool, alpha) for job_id in submitted(place, 3, now=now, labels={"a": "x"})]

    jobs = request_jobs(caller=alpha.puller, bounds=Bounds(labels={"a": "x"}), shared=True, now=now)

    assert [job.id for job in jobs] == ids


def test_of_a_label_of_many_the_first_of_the_queue_come_first(alpha: Any, now: datetime, looks_at_ten: None) -> None:
    ids = submitted(alpha, 40, now=now, labels={"a": "x"})
    urgent = submitted(alpha, now=now, labels={"a": "x"}, priority=9)

    assert offered(alpha, now, 5, a="x") == [*urgent, *ids[:4]]


def test_none_is_passed_over_for_ever(alpha: Any, now: datetime, looks_at_ten: None) -> None:
    """Many that ended and many that do not fit lie before those that do, whose queue begins with others."""
    oldest = submitted(alpha, now=now)
    ended = submitted(alpha, 35, now=now, labels={"a": "x"})
    accept_jobs(caller=alpha.puller, job_ids=ended, now=now)
    submitted(alpha, 30, now=now)
    submitted(alpha, 35, now=now, labels={"a": "x"}, nodes=9)
    wanted = submitted(alpha, 25, now=now, labels={"a": "x"})

    found: set[int] = set()
    for _ in range(12):
        found.update(offered(alpha, now, max_nodes=4, a="x"))
    assert found == set(wanted)
    assert offered(alpha, now, 1, max_nodes=4, a="nosuch") == []
    assert oldest[0] < wanted[0]


def test_the_rarest_of_the_labels_is_looked_up(alpha: Any, now: datetime, looks_at_ten: None) -> None:
    submitted(alpha, 50, now=now, labels={"a": "x"})
    rare = submitted(alpha, now=now, labels={"a": "x", "b": "y"})

    assert offered(alpha, now, 5, a="x", b="y") == rare
    assert offered(alpha, now, 5, b="y", a="x") == rare


def test_how_many_wait_without_the_label_does_not_matter(alpha: Any, beta: Any, now: datetime) -> None:
    def cost() -> int:
        return statements_of(lambda: offered(alpha, now, 5, a="x"))

    wanted = submitted(alpha, now=now, labels={"a": "x"})
    submitted(alpha, 10, now=now)
    few = cost()
    submitted(alpha, 3_000, now=now)

    assert offered(alpha, now, 5, a="x") == wanted
    assert cost() == few
    assert offered(beta, now, 5, a="x") == []


@pytest.mark.parametrize("limit", [0, 60])
@pytest.mark.parametrize("max_nodes", [0, 3])
def test_a_job_that_is_found_by_its_label_and_in_its_queue_is_offered_once(
    alpha: Any, now: datetime, monkeypatch: pytest.MonkeyPatch, limit: int, max_nodes: int
) -> None:
    monkeypatch.setattr(labeled, "LOOK_AT", 100)
    ids = submitted(alpha, 101, now=now, nodes=3, labels={"team": "physics"})

    found = offered(alpha, now, limit, max_nodes=max_nodes, team="physics")

    assert found == ids[: limit or len(found)]
    assert len(found) >= 60
