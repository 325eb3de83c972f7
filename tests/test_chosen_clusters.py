"""A job of a pool may name those of its clusters that it goes to, and how long each waits for the one before."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from clusters.callers import Operator
from clusters.facts import Facts, Partition
from clusters.models import Cluster
from jobs.models import Job, Queue
from jobs.queries.explain import explain_wait
from jobs.queries.queue import request_jobs
from jobs.reports import Report, Return
from jobs.services import placing
from jobs.services.accept import RefusalReason, accept_jobs
from jobs.services.move import move_jobs
from jobs.services.orders import Order, Receipt
from jobs.services.pools import Member, change_pool
from jobs.services.report import report_jobs
from jobs.services.requeue import requeue_jobs
from jobs.services.serving import facts_changed
from jobs.services.submit import submit_jobs
from jobs.specs import JobSpec
from jobs.states import JobState
from rainbow.errors import InvalidArgument, RainbowError, ResourceExhausted
from tests.support.pools import Pool, pool_of
from tests.support.queue import counted, operator_named, recounted, submitted

AGENT = "agent-1"
MINUTE = timedelta(minutes=1)


@pytest.fixture
def olga(db: None) -> Operator:
    return operator_named("olga")


@pytest.fixture
def gamma(mallory: Any) -> Any:
    """A third cluster."""
    return mallory


@pytest.fixture
def pool(alpha: Any, beta: Any, gamma: Any, now: datetime) -> Pool:
    return pool_of("alpha", Member(cluster="beta", after_seconds=3_600), gamma.name, now=now)


def offered(member: Any, now: datetime, *, shared: bool = True) -> list[int]:
    return [job.id for job in request_jobs(caller=member.puller, shared=shared, now=now)]


def takes(member: Any, job_id: int, now: datetime) -> bool:
    taken = accept_jobs(caller=member.puller, job_ids=[job_id], agent=AGENT, now=now)
    assert {one.reason for one in taken.refused} <= {RefusalReason.NOT_QUEUED, RefusalReason.NOT_FOUND}
    return bool(taken.accepted)


def give_back(member: Any, job_id: int, attempt: int, why: Return, now: datetime) -> None:
    state = JobState.FAILED if why == Return.REFUSED else JobState.CANCELLED
    report = Report(job_id=job_id, attempt=attempt, state=state, reason="no", returned=why)
    report_jobs(caller=member.puller, agent=AGENT, reports=[report], now=now)


def outcomes(member: Any, *specs: dict[str, Any], now: datetime) -> list[Receipt | RainbowError]:
    orders = [
        Order(by=member.submitter, cluster_id=member.cluster.id, spec=JobSpec(**{"command": "true", **said}))
        for said in specs
    ]
    return submit_jobs(orders=orders, now=now)


def test_each_of_the_clusters_has_its_turn_after_the_one_before(
    pool: Pool, alpha: Any, beta: Any, gamma: Any, now: datetime
) -> None:
    (job_id,) = submitted(pool, now=now, clusters=("beta", gamma.name), spill_after_seconds=60)

    assert (offered(beta, now), offered(gamma, now)) == ([job_id], [])
    assert not takes(gamma, job_id, now + MINUTE - timedelta(seconds=1))
    assert offered(gamma, now + MINUTE) == [job_id]
    assert offered(alpha, now + 100 * MINUTE) == []
    assert not takes(alpha, job_id, now + 100 * MINUTE)
    assert takes(gamma, job_id, now + MINUTE)


def test_without_a_delay_all_of_them_may_take_it_at_once(pool: Pool, alpha: Any, beta: Any, now: datetime) -> None:
    (job_id,) = submitted(pool, now=now, clusters=("alpha", "beta", "alpha"))

    assert (offered(alpha, now), offered(beta, now)) == ([job_id], [job_id])
    assert Job.objects.get(id=job_id).clusters == ["alpha", "beta"]


def test_a_cluster_that_leaves_the_pool_is_out_of_reach(
    pool: Pool, alpha: Any, beta: Any, gamma: Any, olga: Operator, now: datetime
) -> None:
    (job_id,) = submitted(pool, now=now, clusters=("alpha", "beta"), spill_after_seconds=60)

    change_pool(pool_id=pool.cluster.id, members=[Member(cluster="beta")], by=olga, now=now)

    assert (offered(alpha, now), offered(beta, now), offered(beta, now + MINUTE)) == ([], [], [job_id])


@pytest.mark.parametrize("name", ["nosuch", "big", "stranger"])
def test_a_job_may_name_only_clusters_of_its_pool(alpha: Any, beta: Any, now: datetime, name: str) -> None:
    Cluster.objects.create(name="stranger", registered_at=now)
    pool = pool_of("alpha", "beta", now=now)

    (outcome,) = outcomes(pool, {"clusters": ("alpha", name), "hold_if_unservable": True}, now=now)

    assert isinstance(outcome, InvalidArgument)
    assert str(outcome) == f"clusters: jobs submitted here may not go to '{name}'"
    assert (Job.objects.count(), Queue.objects.count()) == (0, 0)


def test_a_job_of_a_cluster_may_name_it_alone(alpha: Any, beta: Any, now: datetime) -> None:
    (job_id,) = submitted(alpha, now=now, clusters=("alpha",), spill_after_seconds=60)
    (refused,) = outcomes(alpha, {"clusters": ("alpha", "beta")}, now=now)

    assert offered(alpha, now, shared=False) == [job_id]
    assert isinstance(refused, InvalidArgument) and refused.field == "clusters"


def test_what_no_cluster_that_it_names_can_take_is_refused(pool: Pool, alpha: Any, beta: Any, now: datetime) -> None:
    for member, nodes in ((alpha, 4), (beta, 8)):
        facts = Facts(partitions=(Partition(name="batch", nodes=nodes),))
        Cluster.objects.filter(id=member.cluster.id).update(facts=facts.said())
    facts_changed(cluster_ids=[alpha.cluster.id, beta.cluster.id])

    small, large, elsewhere = outcomes(
        pool, {"nodes": 8, "clusters": ("alpha",)}, {"nodes": 9, "clusters": ("alpha", "beta")}, {"nodes": 9}, now=now
    )

    assert str(small) == "nodes: wants 8 nodes; the most is 4 (partition batch), at alpha"
    assert str(large) == "nodes: wants 9 nodes; the most is 8 (partition batch), at beta"
    assert isinstance(elsewhere, Receipt)


def test_a_repeated_submission_finds_its_job_when_the_pool_has_changed(
    pool: Pool, olga: Operator, now: datetime
) -> None:
    said = {"clusters": ("alpha",), "idempotency_key": "once"}
    (first,) = outcomes(pool, said, now=now)
    change_pool(pool_id=pool.cluster.id, members=[Member(cluster="beta")], by=olga, now=now)

    (again,) = outcomes(pool, said, now=now)

    assert isinstance(first, Receipt) and isinstance(again, Receipt)
    assert (again.job_id, again.duplicate) == (first.job_id, True)


def test_what_all_that_it_names_refuse_fails(pool: Pool, alpha: Any, beta: Any, now: datetime) -> None:
    (job_id,) = submitted(pool, now=now, clusters=("alpha", "beta"))
    for attempt, member in enumerate((alpha, beta), start=1):
        assert takes(member, job_id, now)
        give_back(member, job_id, attempt, Return.REFUSED, now)

    assert Job.objects.get(id=job_id).state == JobState.FAILED
    assert counted() == recounted()


def test_a_requeued_job_waits_for_the_clusters_that_it_names(
    pool: Pool, alpha: Any, beta: Any, olga: Operator, now: datetime
) -> None:
    (job_id,) = submitted(pool, now=now, clusters=("beta",))
    assert takes(beta, job_id, now)

    requeue_jobs(by=olga, job_ids=[job_id], reason="again", now=now)

    assert (offered(alpha, now), offered(beta, now)) == ([], [job_id])


def test_a_moved_job_goes_where_the_operator_wants_it(
    pool: Pool, alpha: Any, gamma: Any, olga: Operator, now: datetime
) -> None:
    other = pool_of("alpha", name="other", now=now)
    first, second = submitted(pool, 2, now=now, clusters=("beta",))

    move_jobs(by=olga, job_ids=[first], cluster_id=other.cluster.id, reason="there", now=now)
    move_jobs(by=olga, job_ids=[second], cluster_id=gamma.cluster.id, reason="there", now=now)

    assert (offered(alpha, now), offered(gamma, now)) == ([first], [second])


def test_too_many_different_lists_of_clusters_are_refused(
    pool: Pool, alpha: Any, beta: Any, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(placing, "MOST_OF_CREDENTIAL", 1)
    (plain,) = submitted(pool, now=now)
    first, second = (
        submitted(pool, now=now, nodes=1, clusters=("alpha",)),
        submitted(pool, now=now, clusters=("alpha",)),
    )

    refused, mixed, other = outcomes(
        pool, {"clusters": ("beta",)}, {"clusters": ("alpha",), "nodes": 16}, {"nodes": 8}, now=now
    )

    assert isinstance(refused, ResourceExhausted) and refused.field == "clusters"
    assert isinstance(mixed, Receipt) and isinstance(other, Receipt)
    assert offered(beta, now + 60 * MINUTE) == [plain, other.job_id]
    assert offered(alpha, now) == [plain, *first, *second, mixed.job_id, other.job_id]


def test_what_is_told_of_its_wait_is_of_the_clusters_that_it_names(
    pool: Pool, gamma: Any, olga: Operator, now: datetime
) -> None:
    (job_id,) = submitted(pool, now=now, clusters=(gamma.name, "alpha"), spill_after_seconds=60)
    job = Job.objects.get(id=job_id)

    before = explain_wait(job=job, now=now)
    change_pool(pool_id=pool.cluster.id, members=[Member(cluster="beta")], by=olga, now=now)
    after = explain_wait(job=job, now=now)

    assert before and [one.cluster for one in before.prospects] == [gamma.name, "alpha"]
    assert before.prospects[1].text.endswith("has its turn in 1 minute")
    assert after and [one.text for one in after.prospects] == ["is no longer in big"] * 2
