"""What the submitter of a job of a pool sees of it, and what pauses, streaks and moves do to it."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from clusters.callers import Caller, Claim
from clusters.services.authenticate import admit
from clusters.services.pause import pause_cluster, resume_cluster
from clusters.services.streaks import End, note_ends
from jobs.models import Job
from jobs.queries.lookup import find_jobs, list_jobs
from jobs.queries.queue import request_jobs
from jobs.queries.search import Search
from jobs.queries.summaries import summarize_jobs
from jobs.services.accept import accept_jobs
from jobs.services.cancel import CancelOutcome, cancel_jobs
from jobs.services.expire import expire_leases
from jobs.services.move import move_jobs
from jobs.services.orders import Order, Receipt
from jobs.services.pools import Member
from jobs.services.submit import submit_jobs
from jobs.specs import JobSpec
from tests.support.pools import Pool, pool_of
from tests.support.queue import counted, operator_named, recounted, submitted

pytestmark = pytest.mark.django_db


@pytest.fixture
def pool(alpha: Any, beta: Any, now: datetime) -> Pool:
    """Two clusters, of which the second waits a minute."""
    return pool_of("alpha", Member(cluster="beta", after_seconds=60), now=now)


def offered(caller: Caller, now: datetime) -> list[int]:
    return [job.id for job in request_jobs(caller=caller, shared=True, now=now)]


def taken(caller: Caller, job_id: int, now: datetime) -> bool:
    return bool(accept_jobs(caller=caller, job_ids=[job_id], agent="agent-1", now=now).accepted)


def place_of(job_id: int) -> tuple[str, str, str]:
    """State, cluster, and the pool that it was taken from."""
    job = Job.objects.select_related("cluster", "taken_from").get(id=job_id)
    return job.state, job.cluster.name, job.taken_from.name if job.taken_from else ""


def test_the_submitter_sees_counts_and_cancels_a_job_that_was_taken(pool: Pool, alpha: Any, now: datetime) -> None:
    first, second = submitted(pool, 2, now=now)
    taken(alpha.puller, first, now)
    mine = pool.submitter

    assert [job.id for job in list_jobs(by=mine, search=Search()).jobs] == [second, first]
    assert [job.cluster for job in find_jobs(by=mine, job_ids=[first, second]).jobs] == ["alpha", "big"]
    assert [dict(one.counts) for one in summarize_jobs(cluster_ids=[pool.cluster.id, alpha.cluster.id])] == [
        {"queued": 1},
        {"accepted": 1},
    ]
    outcomes = [one.outcome for one in cancel_jobs(by=mine, job_ids=[first, second], now=now)]
    assert outcomes == [CancelOutcome.REQUESTED, CancelOutcome.CANCELLED]
    assert counted() == recounted()


def test_a_cluster_sees_what_it_took_and_nothing_that_waits(pool: Pool, alpha: Any, now: datetime) -> None:
    first, second = submitted(pool, 2, now=now)
    taken(alpha.puller, first, now)

    found = find_jobs(by=alpha.puller, job_ids=[first, second])

    assert ([job.id for job in found.jobs], found.missing) == ([first], [second])


def test_a_key_stays_with_the_pool_when_its_job_was_taken(pool: Pool, alpha: Any, now: datetime) -> None:
    (job,) = submitted(pool, now=now, idempotency_key="monday")
    taken(alpha.puller, job, now)

    spec = JobSpec(command="hostname", idempotency_key="monday")
    orders = [Order(by=pool.submitter, cluster_id=pool.cluster.id, spec=spec)]
    (again,) = submit_jobs(orders=orders, now=now)
    (other,) = submitted(alpha, now=now, idempotency_key="monday")

    assert isinstance(again, Receipt)
    assert (again.job_id, again.duplicate) == (job, True)
    assert other != job


def test_a_job_whose_lease_ends_unstarted_waits_in_the_pool_again(pool: Pool, alpha: Any, now: datetime) -> None:
    (job,) = submitted(pool, now=now)
    accept_jobs(caller=alpha.puller, job_ids=[job], agent="agent-1", lease_seconds=60, now=now)
    expire_leases(now=now)

    expire_leases(now=now + timedelta(seconds=61), present_since=now)

    assert place_of(job) == ("queued", "big", "")
    assert counted() == recounted()


# What a pool's and a cluster's own pauses do


def test_a_paused_pool_gives_no_jobs(pool: Pool, alpha: Any, now: datetime) -> None:
    (job,) = submitted(pool, now=now)
    (own,) = submitted(alpha, now=now)
    assert offered(alpha.puller, now) == [job, own]
    pause_cluster(cluster_id=pool.cluster.id, reason="full", by=None, now=now)

    assert offered(alpha.puller, now) == [own]
    assert not taken(alpha.puller, job, now), "an agent may have asked before the pause"
    assert taken(alpha.puller, own, now)
    resume_cluster(cluster_id=pool.cluster.id, by=None, now=now)
    assert taken(alpha.puller, job, now)


def test_a_paused_cluster_takes_no_jobs_of_its_pools(pool: Pool, alpha: Any, beta: Any, now: datetime) -> None:
    (job,) = submitted(pool, now=now)
    pause_cluster(cluster_id=alpha.cluster.id, reason="maintenance", by=None, now=now)
    paused = admit(Claim(value=alpha.secret), now=now)

    assert offered(paused, now) == []
    assert not taken(paused, job, now)
    assert offered(beta.puller, now + timedelta(minutes=1)) == [job]


def test_what_one_cluster_holds_back_another_takes(pool: Pool, alpha: Any, beta: Any, now: datetime) -> None:
    (job,) = submitted(pool, now=now)
    end = End(credential_id=pool.submitter.credential_id, at_once=True, reason="no such file")
    note_ends(cluster_id=alpha.cluster.id, ends=[end, end], hold_after=2, now=now)

    assert offered(alpha.puller, now) == []
    assert offered(beta.puller, now + timedelta(minutes=1)) == [job]


# Moves


def test_a_job_moves_into_a_pool_and_out_of_it(pool: Pool, alpha: Any, beta: Any, mallory: Any, now: datetime) -> None:
    (job,) = submitted(mallory, now=now, idempotency_key="monday")
    olga = operator_named("olga")
    late = now + timedelta(minutes=1)

    move_jobs(by=olga, job_ids=[job], cluster_id=pool.cluster.id, reason="room is scarce", now=now)
    assert [offered(one.puller, late) for one in (alpha, beta, mallory)] == [[job], [job], []]
    move_jobs(by=olga, job_ids=[job], cluster_id=beta.cluster.id, reason="beta is idle", now=now)
    assert [offered(one.puller, late) for one in (alpha, beta, mallory)] == [[], [job], []]

    assert [one.id for one in list_jobs(by=mallory.submitter, search=Search()).jobs] == [job]
    assert Job.objects.under_keys(mallory.cluster.id, ["monday"]).get().id == job
    assert counted() == recounted()


def test_a_job_that_was_taken_cannot_be_moved(pool: Pool, alpha: Any, beta: Any, now: datetime) -> None:
    (job,) = submitted(pool, now=now)
    taken(alpha.puller, job, now)

    results = move_jobs(
        by=operator_named("olga"), job_ids=[job], cluster_id=beta.cluster.id, reason="beta is idle", now=now
    )

    assert [one.refusal for one in results] == ["the job is accepted; only waiting jobs can be moved"]
