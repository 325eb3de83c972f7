"""What submitters can make the requests of a cluster cost."""

from datetime import datetime
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from clusters.bounds import Bounds
from clusters.facts import Facts, Partition
from clusters.models import Cluster
from jobs.models import Serves
from jobs.queries import head
from jobs.queries.queue import request_jobs
from jobs.services import placing
from jobs.services.serving import facts_changed
from tests.support.queue import submitted

pytestmark = pytest.mark.usefixtures("limits_are_known")


def tell(member: Any, *, nodes: int) -> None:
    facts = Facts(partitions=(Partition(name="batch", nodes=nodes),))
    Cluster.objects.filter(id=member.cluster.id).update(facts=facts.said())
    facts_changed(cluster_ids=[member.cluster.id])


def test_jobs_that_no_cluster_can_take_yet_count_among_its_queues(
    alpha: Any, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(placing, "MOST_OF_CLUSTER", 5)
    tell(alpha, nodes=1)
    for size in range(2, 12):
        submitted(alpha, now=now, nodes=2**size, hold_if_unservable=True)

    tell(alpha, nodes=10_000)

    assert Serves.objects.filter(cluster=alpha.cluster).count() == 5 + 1


def test_fewer_jobs_are_looked_at_one_by_one_where_they_say_much(
    alpha: Any, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job may have 24 KiB of needs and options, which are read to find out whether it fits."""
    monkeypatch.setattr(placing, "MOST_OF_CREDENTIAL", 0)
    monkeypatch.setattr(head, "_CHUNK", 25)
    tell(alpha, nodes=4)
    much = {f"cluster{number}:partition": "x" * 255 for number in range(64)}
    submitted(alpha, 300, now=now, nodes=5, hold_if_unservable=True, options_by_cluster=much)
    last = submitted(alpha, now=now, nodes=2)
    read: list[int] = []

    def counted(*given: Any, **how: Any) -> Any:
        rows = waiting_in(*given, **how)
        read.append(len(rows))
        return rows

    waiting_in = head.waiting_in
    monkeypatch.setattr(head, "waiting_in", counted)

    found = []
    for _ in range(6):
        read.clear()
        found.append([job.id for job in request_jobs(caller=alpha.puller, shared=True, now=now)])
        assert sum(read) <= 150

    assert last in found


@pytest.mark.parametrize("limit", [10, 0], ids=["ten", "all"])
def test_each_job_is_looked_at_after_some_requests_also_where_a_bound_divides_many_classes(
    alpha: Any, now: datetime, limit: int
) -> None:
    last = set()
    for size in range(5, 15):
        submitted(alpha, 300, now=now, nodes=16, tasks=2**size)
        last |= set(submitted(alpha, now=now, nodes=9, tasks=2**size))
    found = set()

    for _ in range(6):
        jobs = request_jobs(caller=alpha.puller, bounds=Bounds(max_nodes=12), limit=limit, shared=True, now=now)
        found |= {job.id for job in jobs}

    assert found == last


def test_many_queues_of_which_only_some_jobs_fit_are_looked_at_in_one_statement(alpha: Any, now: datetime) -> None:
    def ask() -> list[int]:
        jobs = request_jobs(caller=alpha.puller, bounds=Bounds(max_nodes=12), limit=10, shared=True, now=now)
        return [job.id for job in jobs]

    fitting = []
    for size in range(2):
        submitted(alpha, 300, now=now, nodes=16, tasks=2**size)
        fitting += submitted(alpha, now=now, nodes=9, tasks=2**size)
    with CaptureQueriesContext(connection) as of_two:
        assert ask() == fitting
    for size in range(2, 5):
        submitted(alpha, 300, now=now, nodes=16, tasks=2**size)
        fitting += submitted(alpha, now=now, nodes=9, tasks=2**size)

    with CaptureQueriesContext(connection) as of_five:
        assert ask() == fitting
    # The next request looks at each from where this one left off, too.
    with CaptureQueriesContext(connection) as again:
        assert ask() == fitting

    assert len(of_two) == len(of_five) == len(again)


def test_more_cores_than_fit_a_32_bit_number_are_compared_with_a_bound(alpha: Any, now: datetime) -> None:
    submitted(alpha, now=now, nodes=65_536, cores_per_task=65_536)
    (small,) = submitted(alpha, now=now, nodes=40_000, cores_per_task=40_000)

    bounds = Bounds(max_cores=2_000_000_000)
    jobs = request_jobs(caller=alpha.puller, bounds=bounds, shared=True, now=now)

    assert [job.id for job in jobs] == [small]
