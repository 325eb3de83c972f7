"""A job that still waits at the time at which it expires fails, with what kept it waiting."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from clusters.facts import Facts, Partition
from clusters.models import Cluster
from jobs.models import Job, JobEvent
from jobs.queries.expired import expired_jobs
from jobs.queries.queue import request_jobs
from jobs.reports import Report, Return
from jobs.services.accept import accept_jobs
from jobs.services.fail_expired import fail_expired
from jobs.services.orders import Order, Receipt
from jobs.services.report import report_jobs
from jobs.services.serving import facts_changed
from jobs.services.submit import submit_jobs
from jobs.specs import JobSpec
from jobs.states import JobState, What
from rainbow.errors import AlreadyExists, InvalidArgument, RainbowError
from tests.support.planner import gather_statistics
from tests.support.pools import pool_of
from tests.support.queue import counted, recounted, submitted

AGENT = "agent-1"
HOUR = timedelta(hours=1)


def outcome(member: Any, now: datetime, **said: Any) -> Receipt | RainbowError:
    spec = JobSpec(**{"command": "true", **said})
    (result,) = submit_jobs(orders=[Order(by=member.submitter, cluster_id=member.cluster.id, spec=spec)], now=now)
    return result


def sweep(now: datetime) -> int:
    return fail_expired(expired=expired_jobs(now=now), now=now)


def state_of(job_id: int) -> str:
    return Job.objects.get(id=job_id).state


def test_a_job_that_waits_until_it_expires_fails(alpha: Any, now: datetime) -> None:
    (job_id,) = submitted(alpha, now=now, expires_at=now + HOUR)
    others = submitted(alpha, now=now) + submitted(alpha, now=now, expires_at=now + 2 * HOUR)

    early = sweep(now + HOUR - timedelta(seconds=1))
    due = sweep(now + HOUR)

    assert (early, due, sweep(now + HOUR)) == (0, 1, 0)
    job = Job.objects.get(id=job_id)
    assert (job.state, job.finished_at) == (JobState.FAILED, now + HOUR)
    assert job.reason == "it expired while it waited: alpha has never asked for jobs"
    event = JobEvent.objects.filter(job=job).latest("id")
    assert (event.what, event.state, event.why, event.who) == (What.EXPIRED, "failed", job.reason, "the server")
    assert [state_of(other) for other in others] == ["queued", "queued"]
    assert [one.id for one in request_jobs(caller=alpha.puller, now=now)] == others
    assert counted() == recounted()


def test_its_reason_is_what_kept_it_waiting_at_each_cluster_of_its_pool(alpha: Any, beta: Any, now: datetime) -> None:
    pool = pool_of("alpha", "beta", now=now)
    Cluster.objects.filter(id=alpha.cluster.id).update(paused_at=now, paused_reason="flood")
    Cluster.objects.filter(id=beta.cluster.id).update(facts=Facts(partitions=(Partition(name="b", nodes=1),)).said())
    facts_changed(cluster_ids=[beta.cluster.id])
    (job_id,) = submitted(pool, now=now, nodes=2, expires_at=now + HOUR)

    sweep(now + HOUR)

    reason = Job.objects.get(id=job_id).reason
    assert reason.startswith("it expired while it waited: no cluster can take it now: 1 cannot run it, 1 paused; alpha")
    assert "alpha was paused 1 hour ago: flood" in reason
    assert "beta cannot run it: it wants 2 nodes; the most is 1 (partition b)" in reason


def test_of_jobs_that_are_not_alike_each_is_told_its_own(alpha: Any, now: datetime) -> None:
    Cluster.objects.filter(id=alpha.cluster.id).update(facts=Facts(partitions=(Partition(name="b", nodes=4),)).said())
    facts_changed(cluster_ids=[alpha.cluster.id])
    held = {"hold_if_unservable": True, "expires_at": now + HOUR}
    ids = [submitted(alpha, now=now, nodes=nodes, **held)[0] for nodes in (9, 10, 9)]

    assert sweep(now + HOUR) == 3

    reasons = [Job.objects.get(id=job_id).reason for job_id in ids]
    assert [reason.partition("it wants ")[2].split(";")[0] for reason in reasons] == ["9 nodes", "10 nodes", "9 nodes"]


def test_a_job_that_a_cluster_has_does_not_expire(alpha: Any, now: datetime) -> None:
    (job_id,) = submitted(alpha, now=now, expires_at=now + HOUR)
    accept_jobs(caller=alpha.puller, job_ids=[job_id], agent=AGENT, now=now)

    assert sweep(now + 2 * HOUR) == 0
    assert state_of(job_id) == JobState.ACCEPTED


def test_a_job_that_was_accepted_just_before_goes_on(alpha: Any, now: datetime) -> None:
    first, second = submitted(alpha, 2, now=now, expires_at=now + HOUR)
    expired = expired_jobs(now=now + HOUR)
    accept_jobs(caller=alpha.puller, job_ids=[first], agent=AGENT, now=now + HOUR)

    assert fail_expired(expired=expired, now=now + HOUR) == 1
    assert (state_of(first), state_of(second)) == (JobState.ACCEPTED, JobState.FAILED)
    assert counted() == recounted()


def test_a_job_that_expired_is_not_accepted(alpha: Any, now: datetime) -> None:
    (job_id,) = submitted(alpha, now=now, expires_at=now + HOUR)
    sweep(now + HOUR)

    taken = accept_jobs(caller=alpha.puller, job_ids=[job_id], agent=AGENT, now=now + HOUR)

    assert not taken.accepted
    assert state_of(job_id) == JobState.FAILED


def test_a_job_that_comes_back_after_its_time_fails(alpha: Any, now: datetime) -> None:
    (job_id,) = submitted(alpha, now=now, expires_at=now + HOUR)
    accept_jobs(caller=alpha.puller, job_ids=[job_id], agent=AGENT, now=now)
    back = Report(job_id=job_id, attempt=1, state=JobState.CANCELLED, returned=Return.NOT_STARTED)
    report_jobs(caller=alpha.puller, agent=AGENT, reports=[back], now=now + HOUR)

    assert sweep(now + HOUR) == 1
    assert state_of(job_id) == JobState.FAILED


@pytest.mark.parametrize("after", [timedelta(0), -HOUR, timedelta(days=365, seconds=1)])
def test_a_time_that_has_passed_or_is_far_ahead_is_refused(alpha: Any, now: datetime, after: timedelta) -> None:
    refused = outcome(alpha, now, expires_at=now + after)

    assert isinstance(refused, InvalidArgument)
    assert str(refused) == "expires_at: must be in the future, at most 365 days ahead"
    assert isinstance(outcome(alpha, now, expires_at=now + timedelta(days=365)), Receipt)


def test_a_submission_is_repeated_after_its_job_expired(alpha: Any, now: datetime) -> None:
    said = {"expires_at": now + HOUR, "idempotency_key": "once"}
    first = outcome(alpha, now, **said)
    sweep(now + HOUR)

    again = outcome(alpha, now + HOUR, **said)
    other = outcome(alpha, now + HOUR, **{**said, "expires_at": now + 2 * HOUR})

    assert isinstance(first, Receipt) and isinstance(again, Receipt)
    assert (again.job_id, again.duplicate) == (first.job_id, True)
    assert isinstance(other, AlreadyExists)


def test_clients_of_the_original_protocol_get_a_job_that_expires(alpha: Any, now: datetime) -> None:
    (job_id,) = submitted(alpha, now=now, expires_at=now + HOUR)

    assert [job.id for job in request_jobs(caller=alpha.puller, now=now)] == [job_id]


def test_the_sweep_reads_no_job_that_does_not_expire(alpha: Any, now: datetime) -> None:
    submitted(alpha, 2_000, now=now)
    submitted(alpha, now=now, expires_at=now + HOUR)
    gather_statistics()
    due = Job.objects.in_state(JobState.QUEUED).filter(expires_at__lte=now + HOUR).order_by("expires_at")[:200]

    assert "job_expires" in due.explain()
