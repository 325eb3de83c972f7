"""A job that no cluster in reach can ever take is refused with what it lacks, or kept if it says so."""

from datetime import datetime
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from clusters.facts import Facts, Partition
from clusters.matching import miss
from clusters.models import Cluster
from jobs.models import Job, Queue
from jobs.queries.queue import request_jobs
from jobs.services import placing, unreachable
from jobs.services.orders import Order, Receipt
from jobs.services.serving import facts_changed
from jobs.services.submit import submit_jobs
from jobs.specs import JobSpec
from rainbow.errors import AlreadyExists, InvalidArgument, RainbowError
from tests.support.pools import Pool, pool_of
from tests.support.queue import counted, recounted, submitted


def tell(member: Any, *partitions: Partition, **values: Any) -> None:
    facts = Facts(values=values, partitions=partitions)
    Cluster.objects.filter(id=member.cluster.id).update(facts=facts.said())
    facts_changed(cluster_ids=[member.cluster.id])


def batch(**sizes: Any) -> Partition:
    return Partition(name="batch", **sizes)


def outcomes(member: Any, *specs: dict[str, Any], now: datetime) -> list[Receipt | RainbowError]:
    orders = [
        Order(by=member.submitter, cluster_id=member.cluster.id, spec=JobSpec(**{"command": "true", **said}))
        for said in specs
    ]
    return submit_jobs(orders=orders, now=now)


def refusal(member: Any, now: datetime, **said: Any) -> str:
    (outcome,) = outcomes(member, said, now=now)
    assert isinstance(outcome, InvalidArgument)
    return str(outcome)


@pytest.fixture
def pool(alpha: Any, beta: Any, now: datetime) -> Pool:
    return pool_of("alpha", "beta", now=now)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"needs": ("gpus>=8",)}, "needs: needs gpus>=8; the most is 4, at alpha"),
        ({"needs": ("site=geneva",)}, "needs: needs site=geneva; it tells no such fact, at alpha"),
        ({"nodes": 20}, "nodes: wants 20 nodes; the most is 12 (partition batch), at alpha"),
        ({"nodes": 13}, "nodes: wants 13 nodes; the most is 12 (partition batch), at alpha"),
        ({"time_limit_seconds": 3_601}, "time_limit_seconds: wants 3,601 seconds; the most is 3,600"),
        ({"partition": "debug"}, "partition: wants partition debug; it has batch, at alpha"),
    ],
)
def test_what_the_only_cluster_can_never_take_is_refused(
    alpha: Any, now: datetime, said: dict[str, Any], words: str
) -> None:
    tell(alpha, batch(nodes=12, longest_seconds=3_600), gpus=4)

    assert refusal(alpha, now, **said).startswith(words)
    assert (Job.objects.count(), Queue.objects.count()) == (0, 0)


def test_the_cluster_that_comes_nearest_is_named(pool: Pool, alpha: Any, beta: Any, now: datetime) -> None:
    tell(alpha, batch(nodes=4))
    tell(beta, batch(nodes=12))

    assert refusal(pool, now, nodes=16) == "nodes: wants 16 nodes; the most is 12 (partition batch), at beta"
    assert len(submitted(pool, now=now, nodes=12)) == 1


def test_one_cluster_has_to_have_all_that_a_job_asks_for(pool: Pool, alpha: Any, beta: Any, now: datetime) -> None:
    tell(alpha, batch(nodes=16))
    tell(beta, batch(nodes=1), gpus=4)

    assert refusal(pool, now, nodes=16, needs=("gpus>=4",)).startswith("nodes: wants 16 nodes; the most is 1")


def test_a_job_that_is_to_be_held_waits_until_a_cluster_can_take_it(alpha: Any, now: datetime) -> None:
    tell(alpha, batch(nodes=4))
    (job_id,) = submitted(alpha, now=now, nodes=16, hold_if_unservable=True)
    assert list(request_jobs(caller=alpha.puller, shared=True, now=now)) == []

    tell(alpha, batch(nodes=16))

    assert [job.id for job in request_jobs(caller=alpha.puller, shared=True, now=now)] == [job_id]


def test_of_many_jobs_those_are_refused_that_no_cluster_can_take(alpha: Any, now: datetime) -> None:
    tell(alpha, batch(nodes=4))

    first, second, third = outcomes(alpha, {"nodes": 4}, {"nodes": 5}, {"nodes": 3}, now=now)

    assert isinstance(first, Receipt) and isinstance(third, Receipt)
    assert (first.position, third.position) == (1, 2)
    assert isinstance(second, InvalidArgument) and second.field == "nodes"
    assert counted() == recounted()


@pytest.mark.parametrize("hold", [True, False])
def test_a_job_that_was_servable_or_is_held_is_found_again_by_its_key(alpha: Any, now: datetime, hold: bool) -> None:
    said = {"nodes": 16, "hold_if_unservable": hold, "idempotency_key": "once"}
    (first,) = outcomes(alpha, said, now=now)
    tell(alpha, batch(nodes=4))

    again, other = outcomes(alpha, said, {**said, "nodes": 17}, now=now)

    assert isinstance(first, Receipt) and isinstance(again, Receipt)
    assert (again.job_id, again.duplicate) == (first.job_id, True)
    assert isinstance(other, AlreadyExists)


def test_a_refused_job_leaves_its_key_free(alpha: Any, now: datetime) -> None:
    tell(alpha, batch(nodes=4))
    said = {"nodes": 16, "idempotency_key": "once"}
    refused = outcomes(alpha, said, said, now=now)
    assert all(isinstance(one, InvalidArgument) for one in refused)

    (job_id,) = submitted(alpha, now=now, nodes=2, idempotency_key="once")

    assert Job.objects.get().id == job_id


def test_in_a_mixed_queue_each_job_is_compared_by_itself(
    alpha: Any, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(placing, "MOST_OF_CREDENTIAL", 0)
    tell(alpha, batch(nodes=4))
    submitted(alpha, now=now)

    assert refusal(alpha, now, nodes=5).startswith("nodes: wants 5 nodes")


def test_the_facts_are_not_read_for_jobs_that_all_fit(alpha: Any, now: datetime) -> None:
    tell(alpha, batch(nodes=12))
    submitted(alpha, now=now, nodes=8)

    with CaptureQueriesContext(connection) as captured:
        submitted(alpha, 3, now=now, nodes=8)

    assert not any("facts" in query["sql"] for query in captured)


def test_clients_of_the_original_protocol_get_a_job_that_is_to_be_held(alpha: Any, now: datetime) -> None:
    (job_id,) = submitted(alpha, now=now, hold_if_unservable=True)

    assert [job.id for job in request_jobs(caller=alpha.puller, now=now)] == [job_id]


def test_a_submission_of_very_many_different_jobs_is_compared_in_part(
    alpha: Any, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unreachable, "_COMPARISONS", 4)
    tell(alpha, batch(nodes=4))

    found = outcomes(alpha, *({"nodes": 5 + number} for number in (0, 0, 1, 2)), now=now)

    assert [isinstance(one, Receipt) for one in found] == [False, False, False, True]


def test_of_many_jobs_that_no_cluster_can_run_only_the_first_are_told_what_is_lacking(
    alpha: Any, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With many partitions, the words take longer than all else of a submission."""
    told: list[Any] = []
    monkeypatch.setattr(unreachable, "miss", lambda *given: told.append(given) or miss(*given))
    tell(alpha, *(Partition(name=f"p{number}", nodes=4) for number in range(256)))

    found = outcomes(alpha, *({"nodes": 5 + number} for number in range(150)), now=now)

    words = [str(one) for one in found]
    assert all(isinstance(one, InvalidArgument) for one in found)
    assert words[0].startswith("nodes: wants 5 nodes; the most is 4 (partition p0)")
    assert words[-1] == unreachable.NEVER
    assert len(told) < 15
