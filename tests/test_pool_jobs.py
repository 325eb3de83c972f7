"""Jobs of pools: any member may take one, once it is its turn, and one that comes second is told so."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from clusters.bounds import Bounds
from clusters.callers import Operator
from clusters.facts import Facts, Partition
from clusters.models import Cluster
from jobs.models import Job, JobEvent, Queue, Serves
from jobs.queries.lookup import get_jobs
from jobs.queries.queue import QueuedJob, request_jobs
from jobs.reports import Report, Return
from jobs.services import placing
from jobs.services.accept import Acceptance, RefusalReason, accept_jobs
from jobs.services.move import move_jobs
from jobs.services.pools import Member, change_pool
from jobs.services.report import report_jobs
from jobs.services.requeue import requeue_jobs
from jobs.services.serving import facts_changed
from jobs.states import JobState
from tests.support.leases import watching
from tests.support.pools import Pool, pool_of
from tests.support.queue import counted, operator_named, recounted, submitted

AGENT = "agent-1"


@pytest.fixture
def olga(db: None) -> Operator:
    return operator_named("olga")


@pytest.fixture
def pool(alpha: Any, beta: Any, now: datetime) -> Pool:
    """Of alpha and beta, in this order; beta after a minute."""
    return pool_of("alpha", Member(cluster="beta", after_seconds=60), now=now)


def offers(member: Any, now: datetime, *, shared: bool = True, **bounds: Any) -> list[QueuedJob]:
    return list(request_jobs(caller=member.puller, bounds=Bounds(**bounds), shared=shared, now=now))


def offered(member: Any, now: datetime, **how: Any) -> list[int]:
    return [job.id for job in offers(member, now, **how)]


def take(member: Any, *ids: int, now: datetime, agent: str = AGENT) -> Acceptance:
    return accept_jobs(caller=member.puller, job_ids=ids, agent=agent, now=now)


def tell_facts(member: Any, **sizes: Any) -> None:
    facts = Facts(partitions=(Partition(name="batch", **sizes),))
    Cluster.objects.filter(id=member.cluster.id).update(facts=facts.said())
    facts_changed(cluster_ids=[member.cluster.id])


def test_a_job_of_a_pool_goes_to_the_first_member_that_takes_it(
    pool: Pool, alpha: Any, beta: Any, now: datetime
) -> None:
    (job_id,) = submitted(pool, now=now)
    later = now + timedelta(seconds=60)

    taken = take(beta, job_id, now=later)
    second = take(alpha, job_id, now=later)

    assert [job.job_id for job in taken.accepted] == [job_id]
    assert [one.reason for one in second.refused] == [RefusalReason.NOT_QUEUED]
    job = Job.objects.get(id=job_id)
    assert (job.cluster.name, job.taken_from.name, job.submitted_to.name) == ("beta", "big", "big")
    assert counted() == recounted()


def test_a_member_gets_a_job_when_its_turn_has_come(pool: Pool, alpha: Any, beta: Any, now: datetime) -> None:
    (job_id,) = submitted(pool, now=now)
    early, due = now + timedelta(seconds=59), now + timedelta(seconds=60)

    assert offered(alpha, now) == [job_id]
    assert offered(beta, early) == []
    assert [one.reason for one in take(beta, job_id, now=early).refused] == [RefusalReason.NOT_QUEUED]
    assert offered(beta, due) == [job_id]
    assert len(take(beta, job_id, now=due).accepted) == 1


def test_a_stranger_is_not_told_that_there_is_a_job_of_a_pool(pool: Pool, mallory: Any, now: datetime) -> None:
    (job_id,) = submitted(pool, now=now)

    assert offered(mallory, now) == []
    assert [one.reason for one in take(mallory, job_id, now=now).refused] == [RefusalReason.NOT_FOUND]
    assert get_jobs(by=mallory.puller, job_ids=[job_id]) == {}


def test_a_client_of_the_original_protocol_sees_its_own_jobs_alone(pool: Pool, alpha: Any, now: datetime) -> None:
    (of_pool,) = submitted(pool, now=now)
    (own,) = submitted(alpha, now=now)

    assert offered(alpha, now, shared=False) == [own]
    assert [one.reason for one in take(alpha, of_pool, now=now, agent="").refused] == [RefusalReason.NOT_QUEUED]
    assert offered(alpha, now) == [of_pool, own]


def test_an_offer_tells_of_a_pools_job_what_it_needs_and_not_what_it_runs(
    pool: Pool, alpha: Any, now: datetime
) -> None:
    said = {"name": "align", "nodes": 2, "tasks": 4, "time_limit_seconds": 60, "needs": ("!slow",)}
    hidden = {
        "command": "secret",
        "environment": {"KEY": "1"},
        "working_directory": "/secret",
        "labels": {"for": "us"},
        **dict.fromkeys(("account", "partition", "qos", "reservation", "constraint"), "ours"),
        "options_by_cluster": {"beta:account": "theirs"},
        "image": "debian:12",
        "mounts": ("/data:/data",),
    }
    (job_id,) = submitted(pool, now=now, **said, **hidden)

    (offer,) = offers(alpha, now)

    assert {name: getattr(offer, name) for name in said} == said
    assert offer.pool == "big"
    assert not any(getattr(offer, name) for name in hidden)
    take(alpha, job_id, now=now)
    assert get_jobs(by=alpha.puller, job_ids=[job_id])[job_id].command == "secret"


def test_a_requeued_job_waits_in_its_pool_again(
    pool: Pool, alpha: Any, beta: Any, olga: Operator, now: datetime
) -> None:
    (job_id,) = submitted(pool, now=now)
    take(alpha, job_id, now=now)

    requeue_jobs(by=olga, job_ids=[job_id], reason="again", now=now)

    job = Job.objects.get(id=job_id)
    assert (job.cluster.name, job.taken_from, job.attempt) == ("big", None, 2)
    assert offered(beta, now + timedelta(seconds=60)) == [job_id]
    assert counted() == recounted()


def test_a_moved_job_leaves_its_pool_for_good(pool: Pool, alpha: Any, beta: Any, olga: Operator, now: datetime) -> None:
    (job_id,) = submitted(pool, now=now)

    move_jobs(by=olga, job_ids=[job_id], cluster_id=beta.cluster.id, reason="there", now=now)

    assert (offered(alpha, now), offered(beta, now, shared=False)) == ([], [job_id])
    take(beta, job_id, now=now)
    requeue_jobs(by=olga, job_ids=[job_id], reason="again", now=now)
    assert Job.objects.get(id=job_id).cluster.name == "beta"
    assert counted() == recounted()


def test_a_change_of_a_pool_applies_to_what_waits_in_it(
    pool: Pool, alpha: Any, beta: Any, mallory: Any, olga: Operator, now: datetime
) -> None:
    (job_id,) = submitted(pool, now=now)

    members = [Member(cluster="beta"), Member(cluster="mallory", after_seconds=5)]
    change_pool(pool_id=pool.cluster.id, members=members, by=olga, now=now)

    assert (offered(alpha, now), offered(beta, now), offered(mallory, now)) == ([], [job_id], [])
    assert offered(mallory, now + timedelta(seconds=5)) == [job_id]


def test_a_paused_pool_offers_nothing(pool: Pool, alpha: Any, now: datetime) -> None:
    (of_pool,) = submitted(pool, now=now)
    (own,) = submitted(alpha, now=now)
    Cluster.objects.filter(id=pool.cluster.id).update(paused_at=now, paused_reason="full")

    assert offered(alpha, now) == [own]
    assert [one.reason for one in take(alpha, of_pool, now=now).refused] == [RefusalReason.NOT_QUEUED]


def test_each_job_goes_where_it_fits(alpha: Any, beta: Any, now: datetime) -> None:
    pool = pool_of("alpha", "beta", now=now)
    tell_facts(alpha, nodes=4)
    tell_facts(beta, nodes=12)
    (small,) = submitted(pool, now=now, nodes=3)
    (middle,) = submitted(pool, now=now, nodes=9)
    (large,) = submitted(pool, now=now, nodes=16, hold_if_unservable=True)

    assert offered(alpha, now) == [small]
    # The two are of one class, of which beta has nodes for some.
    assert offered(beta, now) == [small, middle]
    assert offered(beta, now, max_nodes=4) == [small]

    tell_facts(beta, nodes=16)

    assert offered(beta, now) == [small, middle, large]
    assert Serves.objects.filter(cluster=beta.cluster, whole=False).count() == 0


def give_back(member: Any, job_id: int, attempt: int, why: Return, now: datetime) -> None:
    state = JobState.FAILED if why == Return.REFUSED else JobState.CANCELLED
    report = Report(job_id=job_id, attempt=attempt, state=state, reason=f"{member.name} says no", returned=why)
    report_jobs(caller=member.puller, agent=AGENT, reports=[report], now=now)


def test_what_did_not_start_in_time_goes_to_the_others_first(alpha: Any, beta: Any, now: datetime) -> None:
    (job_id,) = submitted(pool := pool_of("alpha", "beta", now=now), now=now)
    take(alpha, job_id, now=now)

    give_back(alpha, job_id, 1, Return.NOT_STARTED, now)

    job = Job.objects.get(id=job_id)
    assert (job.state, job.attempt, job.cluster_id) == (JobState.QUEUED, 2, pool.cluster.id)
    assert (offered(alpha, now), offered(beta, now)) == ([], [job_id])
    assert JobEvent.objects.filter(job=job_id).order_by("-id")[0].why == "alpha says no"

    assert Job.objects.get(id=job_id).reason == "alpha says no"
    take(beta, job_id, now=now)
    assert Job.objects.get(id=job_id).reason == ""
    give_back(beta, job_id, 2, Return.NOT_STARTED, now)

    assert (offered(alpha, now), offered(beta, now)) == ([job_id], [job_id])
    assert counted() == recounted()


def test_what_a_cluster_refuses_waits_for_the_others_and_fails_when_none_is_left(
    alpha: Any, beta: Any, now: datetime
) -> None:
    (job_id,) = submitted(pool_of("alpha", "beta", now=now), now=now)
    take(alpha, job_id, now=now)
    give_back(alpha, job_id, 1, Return.REFUSED, now)
    assert (offered(alpha, now), offered(beta, now)) == ([], [job_id])

    take(beta, job_id, now=now)
    give_back(beta, job_id, 2, Return.REFUSED, now)

    job = Job.objects.get(id=job_id)
    assert (job.state, job.reason, job.cluster.name) == (JobState.FAILED, "beta says no", "beta")
    assert counted() == recounted()


def test_a_job_that_is_moved_to_a_cluster_which_gave_it_back_goes_there(
    alpha: Any, beta: Any, olga: Operator, now: datetime
) -> None:
    (job_id,) = submitted(pool_of("alpha", "beta", now=now), now=now)
    take(alpha, job_id, now=now)
    give_back(alpha, job_id, 1, Return.REFUSED, now)

    move_jobs(by=olga, job_ids=[job_id], cluster_id=alpha.cluster.id, reason="it can now", now=now)

    assert offered(alpha, now) == [job_id]


def test_what_did_not_start_goes_back_to_the_only_cluster_that_can_run_it(alpha: Any, beta: Any, now: datetime) -> None:
    pool = pool_of("alpha", "beta", now=now)
    tell_facts(alpha, nodes=16)
    tell_facts(beta, nodes=8)
    (job_id,) = submitted(pool, now=now, nodes=16)
    take(alpha, job_id, now=now)

    give_back(alpha, job_id, 1, Return.NOT_STARTED, now)

    assert offered(alpha, now) == [job_id]
    take(alpha, job_id, now=now)
    give_back(alpha, job_id, 2, Return.REFUSED, now)
    assert Job.objects.get(id=job_id).state == JobState.FAILED


def test_what_a_cluster_refuses_of_its_own_jobs_fails(alpha: Any, now: datetime) -> None:
    (job_id,) = submitted(alpha, now=now)
    take(alpha, job_id, now=now)

    give_back(alpha, job_id, 1, Return.REFUSED, now)

    assert Job.objects.get(id=job_id).state == JobState.FAILED


def test_a_job_that_started_is_not_given_back(alpha: Any, beta: Any, now: datetime) -> None:
    (job_id,) = submitted(pool_of("alpha", "beta", now=now), now=now)
    take(alpha, job_id, now=now)
    running = Report(job_id=job_id, attempt=1, state=JobState.RUNNING)
    report_jobs(caller=alpha.puller, agent=AGENT, reports=[running], now=now)

    late = Report(job_id=job_id, attempt=1, state=JobState.ACCEPTED, returned=Return.NOT_STARTED)
    report_jobs(caller=alpha.puller, agent=AGENT, reports=[late], now=now)

    assert Job.objects.get(id=job_id).state == JobState.RUNNING


def test_a_job_that_was_to_be_cancelled_is_so_when_it_is_given_back(alpha: Any, beta: Any, now: datetime) -> None:
    (job_id,) = submitted(pool_of("alpha", "beta", now=now), now=now)
    take(alpha, job_id, now=now)
    Job.objects.filter(id=job_id).update(cancel_requested_at=now, reason="no longer wanted")

    give_back(alpha, job_id, 1, Return.NOT_STARTED, now)

    job = Job.objects.get(id=job_id)
    assert (job.state, job.reason) == (JobState.CANCELLED, "no longer wanted")


@pytest.mark.parametrize(("started", "state"), [(False, JobState.QUEUED), (True, JobState.CANCELLED)])
def test_a_lost_job_is_given_back_unless_it_started(
    alpha: Any, beta: Any, now: datetime, started: bool, state: JobState
) -> None:
    (job_id,) = submitted(pool_of("alpha", "beta", now=now), now=now)
    take(alpha, job_id, now=now)
    said = JobState.RUNNING if started else JobState.ACCEPTED
    report = Report(job_id=job_id, attempt=1, state=said, native_id="4711")
    report_jobs(caller=alpha.puller, agent=AGENT, reports=[report], lease_seconds=60, now=now)
    later = now + timedelta(seconds=100)
    watching(now).until(later)
    assert Job.objects.get(id=job_id).state == JobState.LOST

    give_back(alpha, job_id, 1, Return.NOT_STARTED, later)

    assert Job.objects.get(id=job_id).state == state
    assert (offered(beta, later) == [job_id]) is not started
    assert counted() == recounted()


def test_a_job_goes_to_a_cluster_that_has_what_it_needs(alpha: Any, beta: Any, now: datetime) -> None:
    pool = pool_of("alpha", "beta", now=now)
    Cluster.objects.filter(id=alpha.cluster.id).update(facts=Facts(values={"site": "geneva"}).said())
    Cluster.objects.filter(id=beta.cluster.id).update(facts=Facts(values={"site": "lyon", "gpus": 8}).said())
    facts_changed(cluster_ids=[alpha.cluster.id, beta.cluster.id])

    (geneva,) = submitted(pool, now=now, needs=("site=geneva",))
    (gpus,) = submitted(pool, now=now, needs=("gpus>=4", "!cloud"))
    (none,) = submitted(pool, now=now, needs=("software=gromacs",), hold_if_unservable=True)
    (any_,) = submitted(pool, now=now)

    assert (offered(alpha, now), offered(beta, now)) == ([geneva, any_], [gpus, any_])

    Cluster.objects.filter(id=beta.cluster.id).update(facts=Facts(values={"software": ("gromacs",)}).said())
    facts_changed(cluster_ids=[beta.cluster.id])

    assert (offered(alpha, now), offered(beta, now)) == ([geneva, any_], [none, any_])


def test_the_partition_that_a_job_names_for_a_cluster_counts_there(alpha: Any, beta: Any, now: datetime) -> None:
    pool = pool_of("alpha", "beta", now=now)
    tell_facts(alpha, nodes=4)
    tell_facts(beta, nodes=4)

    (job_id,) = submitted(pool, now=now, partition="gpu", options_by_cluster={"beta:partition": "batch"})

    assert (offered(alpha, now), offered(beta, now)) == ([], [job_id])


def test_clients_of_the_original_protocol_get_no_job_that_says_what_they_would_not_heed(
    alpha: Any, now: datetime
) -> None:
    tell_facts(alpha, nodes=4)
    for_agents: list[dict[str, Any]] = [
        {"needs": ("nodes>=2",)},
        {"image": "r.org/a:1"},
        {"secrets": {"TOKEN": "site:hf"}},
        {"input_urls": {"a": f"https://data.example.org/a#sha256={'0' * 64}"}},
        {"outputs": ("results",)},
        {"array_index": 0},
    ]
    ids = [submitted(alpha, now=now, **said)[0] for said in for_agents]
    (plain,) = submitted(alpha, now=now)

    assert (offered(alpha, now, shared=False), offered(alpha, now)) == ([plain], [*ids, plain])


def test_members_that_give_back_jobs_make_no_further_mixed_queues(
    alpha: Any, beta: Any, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(placing, "MOST_OF_CLUSTER", 0)
    pool = pool_of("alpha", "beta", now=now)
    neither, alphas, betas = submitted(pool, 3, now=now)

    for member, job_id in ((alpha, alphas), (beta, betas)):
        take(member, job_id, now=now)
        give_back(member, job_id, 1, Return.NOT_STARTED, now)

    assert Queue.objects.count() == 1
    assert (offered(alpha, now), offered(beta, now)) == ([neither, betas], [neither, alphas])
    assert [take(member, alphas, now=now).accepted != [] for member in (alpha, beta)] == [False, True]


def test_in_a_mixed_queue_each_job_is_looked_at_by_itself(
    alpha: Any, beta: Any, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(placing, "MOST_OF_CREDENTIAL", 0)
    pool = pool_of("alpha", "beta", now=now)
    tell_facts(alpha, nodes=4)
    tell_facts(beta, nodes=64)
    (small,) = submitted(pool, now=now)
    (large,) = submitted(pool, now=now, nodes=64)
    (other,) = submitted(pool, now=now, needs=("nodes>=20",))
    (own,) = submitted(alpha, now=now, needs=("nodes>=2",))
    (plain,) = submitted(alpha, now=now)

    assert Queue.objects.count() == 4
    assert (offered(alpha, now), offered(beta, now)) == ([small, own, plain], [small, large, other])
    assert offered(alpha, now, shared=False) == [plain]
