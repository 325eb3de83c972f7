"""What waits for what, and which clusters serve it: a table on the page of each cluster and pool."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from clusters.facts import Facts, Partition
from clusters.models import Cluster
from clusters.services.pause import pause_cluster
from jobs.models import Job
from jobs.queries import waiting_queues as queries
from jobs.queries.waiting_queues import WaitingQueue, waiting_queues
from jobs.services import placing
from jobs.services.pools import Member
from jobs.services.serving import facts_changed
from tests.support.console import signed_in
from tests.support.pools import Pool, pool_of
from tests.support.queue import submitted

pytestmark = pytest.mark.django_db


@pytest.fixture
def pool(alpha: Any, beta: Any, now: datetime) -> Pool:
    return pool_of("alpha", Member(cluster="beta", after_seconds=60), now=now)


def queues_of(place: Any) -> list[WaitingQueue]:
    return list(waiting_queues(cluster_id=place.cluster.id).queues)


def has(member: Any, **sizes: Any) -> None:
    facts = Facts(partitions=(Partition(name="batch", **sizes),))
    Cluster.objects.filter(id=member.cluster.id).update(facts=facts.said())
    facts_changed(cluster_ids=[member.cluster.id])


def servers(queue: WaitingQueue) -> list[tuple[str, int, bool]]:
    return [(one.cluster.name, one.after_seconds, one.whole) for one in queue.served_by]


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ({}, "1 node"),
        ({"nodes": 4, "tasks": 1}, "3 to 4 nodes, 1 task"),
        (
            {"cores_per_task": 2, "time_limit_seconds": 3_600},
            "1 node, 2 cores a task, a time limit of 34 minutes to 1 hour",
        ),
        ({"gpus_per_task": 1, "gpu_type": "a100"}, "1 node, 1 GPU a task, GPUs of the type a100"),
        ({"memory_mib_per_node": 1_024}, "1 node, 513 to 1,024 MiB of memory a node"),
        ({"memory_mib_per_node": 65_536}, "1 node, 32 to 64 GiB of memory a node"),
        ({"time_limit_seconds": 1}, "1 node, a time limit of 1 second"),
        (
            {"partition": "batch", "options_by_cluster": {"beta:partition": "gpu", "alpha:partition": ""}},
            "1 node, partition batch, any partition at alpha, partition gpu at beta",
        ),
        ({"needs": ("site=geneva", "!cloud")}, "1 node, !cloud, site=geneva"),
    ],
)
def test_a_queue_says_what_its_jobs_want(pool: Pool, now: datetime, said: Any, wanted: str) -> None:
    submitted(pool, now=now, hold_if_unservable=True, **said)

    assert [queue.wanted for queue in queues_of(pool)] == [wanted]


def test_jobs_of_too_many_kinds_are_told_so(pool: Pool, now: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placing, "MOST_OF_CREDENTIAL", 0)
    submitted(pool, now=now, nodes=7)

    assert queues_of(pool)[0].wanted == "jobs of all kinds, since there are too many kinds"


def test_a_pool_has_its_queues_and_a_cluster_also_those_that_it_serves(
    pool: Pool, alpha: Any, beta: Any, now: datetime
) -> None:
    has(alpha, nodes=4)
    submitted(pool, 2, now=now, nodes=8)
    submitted(pool, now=now + timedelta(seconds=5), nodes=3)
    submitted(beta, now=now, priority=1)
    submitted(alpha, now=now, nodes=16, hold_if_unservable=True)

    of_pool, of_alpha, of_beta = queues_of(pool), queues_of(alpha), queues_of(beta)

    assert [(queue.home.name, queue.wanted, queue.jobs) for queue in of_pool] == [
        ("big", "5 to 8 nodes", 2),
        ("big", "3 to 4 nodes", 1),
    ]
    assert [servers(queue) for queue in of_pool] == [[("beta", 60, True)], [("alpha", 0, True), ("beta", 60, True)]]
    assert of_pool[1].oldest_submitted_at == now + timedelta(seconds=5)
    assert [(queue.home.name, queue.wanted) for queue in of_alpha] == [
        ("big", "3 to 4 nodes"),
        ("alpha", "9 to 16 nodes"),
    ]
    assert servers(of_alpha[1]) == []
    assert [queue.home.name for queue in of_beta] == ["beta", "big", "big"]


def test_queues_without_jobs_are_left_out(pool: Pool, now: datetime) -> None:
    (job_id,) = submitted(pool, now=now)
    Job.objects.filter(id=job_id).delete()

    assert queues_of(pool) == []


def test_it_looks_at_a_limited_number_of_queues_and_jobs(
    pool: Pool, now: datetime, monkeypatch: pytest.MonkeyPatch, django_assert_num_queries: Any
) -> None:
    for nodes in (1, 2, 4):
        submitted(pool, nodes, now=now, nodes=nodes)
    monkeypatch.setattr(queries, "_MOST", 2)
    monkeypatch.setattr(queries, "_COUNT_UP_TO", 2)

    with django_assert_num_queries(4):
        found = waiting_queues(cluster_id=pool.cluster.id)

    assert [(queue.jobs, queue.more) for queue in found.queues] == [(1, False), (2, True)]
    assert found.more


def test_the_pages_of_clusters_and_pools_show_it(pool: Pool, alpha: Any, beta: Any, now: datetime) -> None:
    has(alpha, nodes=3)
    submitted(pool, 3, now=now, nodes=4)
    submitted(alpha, now=now, needs=("site=geneva",), hold_if_unservable=True)
    pause_cluster(cluster_id=pool.cluster.id, reason="full", by=None, now=now)
    olaf = signed_in("olaf", "operators")

    of_pool, of_alpha = (
        olaf.get(f"/admin/clusters/cluster/{place.cluster.id}/change/").content.decode() for place in (pool, alpha)
    )

    for page in (of_pool, of_alpha):
        jobs = f"/admin/jobs/job/?state=queued&amp;cluster={pool.cluster.id}"
        assert f'<th scope="row">3 to 4 nodes</th><td><a href="{jobs}">big</a> <span class="mark">paused</span>' in page
        assert f'/admin/clusters/cluster/{alpha.cluster.id}/change/">alpha</a> (some)' in page
        assert f'/admin/clusters/cluster/{beta.cluster.id}/change/">beta</a> after 1 min' in page
    assert '<th scope="row">1 node, site=geneva</th>' in of_alpha
    assert '<span class="bad">none</span>' in of_alpha
