"""Agents fall silent: what becomes of the jobs that they hold."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from jobs.models import Job, JobEvent, LeaseWatch
from jobs.reports import ReportOutcome
from jobs.services.accept import accept_jobs
from jobs.services.cancel import cancel_jobs
from jobs.services.expire import EVERY, OUTAGE, Expiry, expire_leases
from jobs.states import JobState, OnLost
from tests.support.leases import LEASE, Watch, held, state_of, tell, watching
from tests.support.lives import handed_over, row
from tests.support.queue import counted, recounted, submitted

pytestmark = pytest.mark.django_db


@pytest.fixture
def watch(db: None, now: datetime) -> Watch:
    return watching(now)


# What becomes of the jobs


def test_a_job_that_was_never_handed_to_a_scheduler_waits_again_as_the_next_attempt(
    alpha: Any, watch: Watch, now: datetime
) -> None:
    job_id = held(alpha, now=now)

    before = watch.until(now + LEASE)
    after = watch.until(now + LEASE + EVERY)

    assert (before, after) == (Expiry(), Expiry(requeued=1))
    assert state_of(job_id) == ("queued", 2)
    job = row(job_id)
    assert (job["agent"], job["accepted_at"], job["lease_expires_at"]) == ("", None, None)
    assert job["reason"] == "its agent fell silent before it handed the job over"
    assert JobEvent.objects.filter(job_id=job_id).latest("id").why == job["reason"]


@pytest.mark.parametrize("state", [JobState.ACCEPTED, JobState.RUNNING])
def test_a_job_that_may_have_started_is_lost(alpha: Any, watch: Watch, now: datetime, state: JobState) -> None:
    job_id = held(alpha, now=now)
    tell(alpha, job_id, state, native_id="4711", now=now)

    done = watch.until(now + LEASE + EVERY)

    assert done == Expiry(lost=1)
    assert state_of(job_id) == ("lost", 1)
    assert (row(job_id)["lost_at"], row(job_id)["native_id"]) == (watch.now, "4711")
    assert row(job_id)["lease_expires_at"] is None


def test_a_lost_job_waits_again_if_its_submitter_wished_so(alpha: Any, watch: Watch, now: datetime) -> None:
    job_id = held(alpha, on_lost=OnLost.REQUEUE, now=now)
    tell(alpha, job_id, JobState.RUNNING, native_id="4711", now=now)

    done = watch.until(now + LEASE + EVERY)

    assert done == Expiry(requeued=1)
    assert state_of(job_id) == ("queued", 2)
    whats = JobEvent.objects.filter(job_id=job_id).order_by("id").values_list("what", flat=True)
    assert list(whats)[-2:] == ["lost", "requeued"]
    assert (row(job_id)["native_id"], row(job_id)["started_at"], row(job_id)["lost_at"]) == ("", None, None)


def test_a_job_that_somebody_cancelled_does_not_run_again(alpha: Any, watch: Watch, now: datetime) -> None:
    never_started, started = held(alpha, now=now), held(alpha, on_lost=OnLost.REQUEUE, now=now)
    tell(alpha, started, JobState.RUNNING, native_id="4711", now=now)
    cancel_jobs(by=alpha.submitter, job_ids=[never_started, started], reason="wrong input", now=now)

    done = watch.until(now + LEASE + EVERY)

    assert done == Expiry(cancelled=1, lost=1)
    assert (state_of(never_started), row(never_started)["reason"]) == (("cancelled", 1), "wrong input")
    assert row(never_started)["finished_at"] == watch.now
    assert state_of(started) == ("lost", 1)
    assert tell(alpha, started, JobState.RUNNING, now=watch.now).cancel


def test_a_job_that_is_reported_in_time_stays_with_its_agent(alpha: Any, watch: Watch, now: datetime) -> None:
    job_id = held(alpha, now=now)

    for _ in range(20):
        tell(alpha, job_id, JobState.RUNNING, now=watch.now)
        assert watch.until(watch.now + LEASE) == Expiry()

    assert state_of(job_id) == ("running", 1)


def test_a_plain_hand_over_never_expires(alpha: Any, watch: Watch, now: datetime) -> None:
    job_id = handed_over(alpha, now=now)

    assert watch.until(now + 10 * LEASE) == Expiry()
    assert state_of(job_id) == ("accepted", 1)


def test_jobs_that_are_over_expire_no_more(alpha: Any, watch: Watch, now: datetime) -> None:
    job_id = held(alpha, now=now)
    tell(alpha, job_id, JobState.COMPLETED, now=now)

    assert watch.until(now + timedelta(minutes=5)) == Expiry()
    assert state_of(job_id) == ("completed", 1)


def test_many_leases_end_in_one_look(alpha: Any, watch: Watch, now: datetime) -> None:
    ids = submitted(alpha, 1_203, now=now)
    accept_jobs(caller=alpha.puller, job_ids=ids, agent="agent-1", lease_seconds=60, now=now)

    done = watch.until(now + LEASE + EVERY)

    assert done == Expiry(requeued=1_203)
    assert counted() == recounted() == {("alpha", "queued", 0): 1_203}


# Coming back


def test_a_late_report_brings_a_lost_job_back(alpha: Any, watch: Watch, now: datetime) -> None:
    job_id = held(alpha, now=now)
    tell(alpha, job_id, JobState.RUNNING, native_id="4711", now=now)
    watch.until(now + 5 * LEASE)

    result = tell(alpha, job_id, JobState.RUNNING, now=watch.now)

    assert (result.outcome, result.cancel) == (ReportOutcome.COUNTED, False)
    assert state_of(job_id) == ("running", 1)
    assert row(job_id)["lease_expires_at"] == result.lease_expires_at == watch.now + LEASE


def test_a_report_of_an_attempt_that_was_put_back_is_told_to_stop(alpha: Any, watch: Watch, now: datetime) -> None:
    job_id = held(alpha, now=now)
    watch.until(now + LEASE + EVERY)

    late = tell(alpha, job_id, JobState.RUNNING, native_id="4711", now=watch.now)
    (again,) = accept_jobs(caller=alpha.puller, job_ids=[job_id], agent="agent-1", now=watch.now).accepted
    later = tell(alpha, job_id, JobState.COMPLETED, now=watch.now)

    assert [(result.outcome, result.cancel) for result in (late, later)] == [(ReportOutcome.STALE, True)] * 2
    assert again.attempt == 2
    assert state_of(job_id) == ("accepted", 2)


def test_accepting_again_renews_the_lease(alpha: Any, watch: Watch, now: datetime) -> None:
    job_id = held(alpha, now=now)
    watch.until(now + LEASE)

    accept_jobs(caller=alpha.puller, job_ids=[job_id], agent="agent-1", lease_seconds=60, now=watch.now)

    assert watch.until(now + 2 * LEASE) == Expiry()
    assert state_of(job_id) == ("accepted", 1)


# Whose turn it is


def test_one_of_many_servers_looks(alpha: Any, watch: Watch, now: datetime) -> None:
    held(alpha, now=now)
    watch.until(now + LEASE)

    looks = [expire_leases(now=watch.now + EVERY) for _ in range(3)]

    assert looks == [Expiry(requeued=1), None, None]


def test_a_server_that_comes_too_early_leaves_it_to_the_next(alpha: Any, watch: Watch, now: datetime) -> None:
    assert expire_leases(now=now + EVERY - timedelta(seconds=1)) is None
    assert expire_leases(now=now + EVERY) == Expiry()


@pytest.mark.parametrize("outage", [OUTAGE, timedelta(days=3)])
def test_after_an_outage_of_all_servers_every_lease_runs_anew(
    alpha: Any, watch: Watch, now: datetime, outage: timedelta
) -> None:
    job_id, other = held(alpha, now=now), held(alpha, now=now)
    Job.objects.filter(id=other).update(lease_seconds=600)
    watch.until(now + LEASE - EVERY)

    watch.now += outage - EVERY
    back = watch.now + EVERY

    assert watch.until(back + LEASE) == Expiry()
    assert watch.until(back + LEASE + EVERY) == Expiry(requeued=1)
    assert (state_of(job_id), state_of(other)) == (("queued", 2), ("accepted", 1))
    assert row(other)["lease_expires_at"] == back + timedelta(seconds=600)


def test_the_first_look_of_all_expires_nobody(alpha: Any, now: datetime) -> None:
    held(alpha, now=now)

    assert expire_leases(now=now + 10 * LEASE) == Expiry()
    assert Watch(now + 10 * LEASE).until(now + 11 * LEASE + EVERY) == Expiry(requeued=1)


def test_a_look_of_a_clock_that_was_far_ahead_stops_nobody(alpha: Any, watch: Watch, now: datetime) -> None:
    job_id = held(alpha, now=now)
    LeaseWatch.objects.update(looked_at=now + timedelta(days=365))

    assert watch.until(now + EVERY + LEASE) == Expiry()
    assert watch.until(now + 2 * EVERY + LEASE) == Expiry(requeued=1)
    assert state_of(job_id) == ("queued", 2)
