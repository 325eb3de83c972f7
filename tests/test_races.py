"""Two connections want the same job at the same time: both orders of every race end well."""

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection

from clusters.models import Cluster
from clusters.services.pause import resume_cluster
from jobs.models import LeaseWatch
from jobs.outcomes import CancelOutcome
from jobs.queries.expired import expired_jobs
from jobs.reports import AgentReport, Report, Reported, ReportOutcome
from jobs.services.accept import Acceptance, accept_jobs
from jobs.services.cancel import cancel_jobs
from jobs.services.expire import EVERY, Expiry, expire_leases
from jobs.services.fail_expired import fail_expired
from jobs.services.report import report_jobs, report_jobs_batch
from jobs.services.requeue import requeue_jobs
from jobs.sql import inserts, usage
from jobs.states import JobState
from rainbow.errors import FailedPrecondition
from tests.support.lives import AGENT, job_in, replay, row
from tests.support.queue import counted, recounted, submitted
from tests.support.turns import race

pytestmark = pytest.mark.django_db(transaction=True)

COUNTED, STALE = ReportOutcome.COUNTED, ReportOutcome.STALE
# When the leases of jobs that were accepted at `now` have run out.
LATE = timedelta(seconds=301)


@pytest.fixture(autouse=True)
def counts_of_one_slot(monkeypatch: pytest.MonkeyPatch) -> None:
    """All writers contend for the same counts, as those of many servers may."""
    for writers in (inserts, usage):
        monkeypatch.setattr(writers, "slot", lambda: 0)


def saying(member: Any, job_id: int, state: JobState, now: datetime, **said: Any) -> Callable[[], Reported]:
    reports = [Report(job_id=job_id, attempt=1, state=state, **said)]
    return lambda: report_jobs(caller=member.puller, agent=AGENT, reports=reports, now=now)[0]


def cancelling(member: Any, job_id: int, now: datetime) -> Callable[[], CancelOutcome]:
    return lambda: cancel_jobs(by=member.submitter, job_ids=[job_id], now=now)[0].outcome


def accepting(member: Any, job_id: int, now: datetime, agent: str = AGENT) -> Callable[[], Acceptance]:
    return lambda: accept_jobs(caller=member.puller, job_ids=[job_id], agent=agent, now=now)


def requeueing(member: Any, job_id: int, now: datetime) -> Callable[[], str]:
    return lambda: requeue_jobs(by=member.puller, job_ids=[job_id], reason="gone", now=now)[0].refusal


def expiring(now: datetime) -> Callable[[], Expiry | None]:
    """A look of a server before which others looked in time."""
    LeaseWatch.objects.update_or_create(id=1, defaults={"looked_at": now - EVERY})
    return lambda: expire_leases(now=now)


def failing(now: datetime) -> Callable[[], int]:
    """A sweep that found the jobs that expired."""
    expired = expired_jobs(now=now)
    return lambda: fail_expired(expired=expired, now=now)


def state_of(job_id: int) -> tuple[str, int]:
    """A job's state and attempt, on which all records agree."""
    found = row(job_id)["state"], row(job_id)["attempt"]
    assert replay(job_id) == found
    assert counted() == recounted()
    return found


# A report and a cancel


def test_a_cancel_that_comes_while_a_start_is_reported_asks_the_agent(alpha: Any, now: datetime) -> None:
    job_id = job_in(JobState.ACCEPTED, alpha, now=now)

    met = race(saying(alpha, job_id, JobState.RUNNING, now), cancelling(alpha, job_id, now))

    assert (met.first.cancel, met.second, met.waited) == (False, CancelOutcome.REQUESTED, True)
    assert state_of(job_id) == ("running", 1)
    assert saying(alpha, job_id, JobState.RUNNING, now)().cancel


def test_a_start_that_is_reported_while_somebody_cancels_is_told_to_stop(alpha: Any, now: datetime) -> None:
    job_id = job_in(JobState.ACCEPTED, alpha, now=now)

    met = race(cancelling(alpha, job_id, now), saying(alpha, job_id, JobState.RUNNING, now))

    assert (met.first, met.second.outcome, met.second.cancel) == (CancelOutcome.REQUESTED, COUNTED, True)
    assert state_of(job_id) == ("running", 1)


def test_a_cancel_that_comes_while_the_end_is_reported_is_too_late(alpha: Any, now: datetime) -> None:
    job_id = job_in(JobState.RUNNING, alpha, now=now)

    met = race(saying(alpha, job_id, JobState.COMPLETED, now), cancelling(alpha, job_id, now))

    assert (met.second, met.waited) == (CancelOutcome.ALREADY_FINAL, True)
    assert state_of(job_id) == ("completed", 1)


def test_a_lost_job_is_found_or_cancelled(alpha: Any, now: datetime) -> None:
    found, gone = (job_in(JobState.LOST, alpha, now=now) for _ in range(2))

    first = race(saying(alpha, found, JobState.RUNNING, now), cancelling(alpha, found, now))
    second = race(cancelling(alpha, gone, now), saying(alpha, gone, JobState.RUNNING, now))

    assert (first.second, state_of(found)) == (CancelOutcome.REQUESTED, ("running", 1))
    assert (second.first, state_of(gone)) == (CancelOutcome.CANCELLED, ("cancelled", 1))
    assert (second.second.outcome, second.second.cancel) == (STALE, True)


# A report and the end of the lease


def test_a_job_whose_end_is_reported_while_its_lease_ends_is_over(alpha: Any, now: datetime) -> None:
    job_id = job_in(JobState.RUNNING, alpha, now=now)

    met = race(saying(alpha, job_id, JobState.COMPLETED, now + LATE), expiring(now + LATE))

    assert (met.first.outcome, met.second) == (COUNTED, Expiry())
    assert state_of(job_id) == ("completed", 1)


def test_a_job_that_is_lost_while_its_end_is_reported_is_over(alpha: Any, now: datetime) -> None:
    job_id = job_in(JobState.RUNNING, alpha, now=now)

    met = race(expiring(now + LATE), saying(alpha, job_id, JobState.COMPLETED, now + LATE))

    assert (met.first, met.second.outcome, met.waited) == (Expiry(lost=1), COUNTED, True)
    assert state_of(job_id) == ("completed", 1)


def test_a_sign_of_life_while_the_lease_ends_keeps_the_job(alpha: Any, now: datetime) -> None:
    job_id = job_in(JobState.RUNNING, alpha, now=now)

    met = race(saying(alpha, job_id, JobState.RUNNING, now + LATE), expiring(now + LATE))

    assert (met.first.outcome, met.second) == (COUNTED, Expiry())
    assert state_of(job_id) == ("running", 1)


def test_a_start_that_is_reported_while_the_job_is_put_back_is_stale(alpha: Any, now: datetime) -> None:
    job_id = job_in(JobState.ACCEPTED, alpha, now=now)

    met = race(expiring(now + LATE), saying(alpha, job_id, JobState.RUNNING, now + LATE))

    assert (met.first, met.second.outcome, met.second.cancel) == (Expiry(requeued=1), STALE, True)
    assert state_of(job_id) == ("queued", 2)


def test_one_of_two_servers_looks(alpha: Any, now: datetime) -> None:
    job_id = job_in(JobState.RUNNING, alpha, now=now)
    look = expiring(now + LATE)

    met = race(look, look)

    assert (met.first, met.second, met.waited) == (Expiry(lost=1), None, True)
    assert state_of(job_id) == ("lost", 1)


# An accept


def test_a_job_that_is_cancelled_while_it_is_accepted_is_stopped_by_its_agent(alpha: Any, now: datetime) -> None:
    job_id = job_in(JobState.QUEUED, alpha, now=now)

    met = race(accepting(alpha, job_id, now), cancelling(alpha, job_id, now))

    assert (len(met.first.accepted), met.second, met.waited) == (1, CancelOutcome.REQUESTED, True)
    assert state_of(job_id) == ("accepted", 1)


def test_a_job_that_is_accepted_while_it_expires_goes_on(alpha: Any, now: datetime) -> None:
    (job_id,) = submitted(alpha, now=now, expires_at=now + timedelta(seconds=1))

    met = race(accepting(alpha, job_id, now + LATE), failing(now + LATE))

    assert (len(met.first.accepted), met.second) == (1, 0)
    assert state_of(job_id) == ("accepted", 1)


def test_a_job_that_expires_while_it_is_accepted_is_refused(alpha: Any, now: datetime) -> None:
    (job_id,) = submitted(alpha, now=now, expires_at=now + timedelta(seconds=1))

    met = race(failing(now + LATE), accepting(alpha, job_id, now + LATE))

    assert (met.first, met.second.accepted) == (1, [])
    assert state_of(job_id) == ("failed", 1)


def test_a_job_that_is_accepted_while_it_is_cancelled_is_refused(alpha: Any, now: datetime) -> None:
    job_id = job_in(JobState.QUEUED, alpha, now=now)

    met = race(cancelling(alpha, job_id, now), accepting(alpha, job_id, now))

    assert (met.first, met.second.accepted, len(met.second.refused)) == (CancelOutcome.CANCELLED, [], 1)
    assert state_of(job_id) == ("cancelled", 1)


def test_one_of_two_agents_gets_the_job(alpha: Any, now: datetime) -> None:
    job_id = job_in(JobState.QUEUED, alpha, now=now)

    met = race(accepting(alpha, job_id, now, "agent-1"), accepting(alpha, job_id, now, "agent-2"))

    assert ([job.job_id for job in met.first.accepted], met.second.accepted) == ([job_id], [])
    assert (state_of(job_id), row(job_id)["agent"]) == (("accepted", 1), "agent-1")


def test_an_agent_that_accepts_again_while_it_accepts_has_the_job_once(alpha: Any, now: datetime) -> None:
    job_id = job_in(JobState.QUEUED, alpha, now=now)

    met = race(accepting(alpha, job_id, now), accepting(alpha, job_id, now))

    assert met.first.accepted == met.second.accepted
    assert [event.what for event in Cluster.objects.get().jobs.get().events.order_by("id")] == ["submitted", "accepted"]


def test_accepting_again_while_the_lease_ends_keeps_the_job(alpha: Any, now: datetime) -> None:
    job_id = job_in(JobState.ACCEPTED, alpha, now=now)

    met = race(accepting(alpha, job_id, now + LATE), expiring(now + LATE))

    assert ([job.attempt for job in met.first.accepted], met.second) == ([1], Expiry())
    assert state_of(job_id) == ("accepted", 1)


def test_a_job_that_is_put_back_while_its_agent_accepts_it_again_is_the_next_attempt(alpha: Any, now: datetime) -> None:
    job_id = job_in(JobState.ACCEPTED, alpha, now=now)

    met = race(expiring(now + LATE), accepting(alpha, job_id, now + LATE))

    assert (met.first, met.waited) == (Expiry(requeued=1), True)
    taken = [job.attempt for job in met.second.accepted]
    # On PostgreSQL the accept began to look before the job waited.
    assert (taken, state_of(job_id)) in [([2], ("accepted", 2)), ([], ("queued", 2))]


# A requeue


def test_a_job_that_is_put_back_while_it_starts_is_refused(alpha: Any, now: datetime) -> None:
    job_id = job_in(JobState.ACCEPTED, alpha, now=now)

    met = race(saying(alpha, job_id, JobState.RUNNING, now), requeueing(alpha, job_id, now))

    assert (met.second, met.waited) == ("the job is running; only accepted and lost jobs can be requeued", True)
    assert state_of(job_id) == ("running", 1)


def test_a_start_that_is_reported_while_somebody_puts_the_job_back_is_stale(alpha: Any, now: datetime) -> None:
    job_id = job_in(JobState.ACCEPTED, alpha, now=now)

    met = race(requeueing(alpha, job_id, now), saying(alpha, job_id, JobState.RUNNING, now))

    assert (met.first, met.second.outcome, met.second.cancel) == ("", STALE, True)
    assert state_of(job_id) == ("queued", 2)


# Everything at once


def test_servers_that_hear_many_agents_at_once_do_not_wait_in_a_circle(alpha: Any, beta: Any, now: datetime) -> None:
    ids = {member.name: submitted(member, 20, now=now) for member in (alpha, beta)}
    for member in (alpha, beta):
        accept_jobs(caller=member.puller, job_ids=ids[member.name], agent=AGENT, now=now)

    def work(seed: int) -> None:
        dice = random.Random(seed)
        try:
            for _ in range(40):
                agent_reports = [_agent_report(dice, dice.choice((alpha, beta)), ids) for _ in range(4)]
                report_jobs_batch(agent_reports=agent_reports, now=now)
                with suppress(FailedPrecondition):
                    resume_cluster(cluster_id=dice.choice((alpha, beta)).cluster.id, by=None, now=now)
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as crowd:
        list(crowd.map(work, range(6)))

    assert counted() == recounted()
    for job_id in (*ids["alpha"], *ids["beta"]):
        assert replay(job_id) == (row(job_id)["state"], 1)


def _agent_report(dice: random.Random, member: Any, ids: dict[str, list[int]]) -> AgentReport:
    states = [JobState.ACCEPTED, JobState.RUNNING, JobState.RUNNING, JobState.COMPLETED]
    # Most say nothing of jobs: whoever waits for a job takes no turn at the clusters.
    some = dice.sample(ids[member.name], dice.choice([0, 0, 0, 0, 5]))
    reports = [Report(job_id=id, attempt=1, state=dice.choice(states)) for id in some]
    pause = dice.choice(["", "a black hole"])
    return AgentReport(
        caller=member.puller, agent=AGENT, reports=reports, not_ready=dice.choice(["", "busy"]), pause=pause
    )


def test_many_who_do_everything_at_once_neither_fail_nor_lose_count(alpha: Any, now: datetime) -> None:
    ids = submitted(alpha, 40, now=now)
    expiring(now)

    def work(seed: int) -> None:
        dice = random.Random(seed)
        try:
            for turn in range(60):
                _do_something(dice, alpha, dice.sample(ids, 8), now + turn * timedelta(seconds=6))
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as crowd:
        list(crowd.map(work, range(6)))

    for job_id in ids:
        assert replay(job_id) == (row(job_id)["state"], row(job_id)["attempt"])
    assert counted() == recounted()


def _do_something(dice: random.Random, member: Any, ids: list[int], now: datetime) -> None:
    states = [JobState.ACCEPTED, JobState.RUNNING, JobState.RUNNING, JobState.COMPLETED]
    reports = [Report(job_id=id, attempt=dice.choice([1, 2]), state=dice.choice(states)) for id in ids]
    verbs: list[Callable[[], object]] = [
        lambda: accept_jobs(caller=member.puller, job_ids=ids, agent=AGENT, lease_seconds=10, now=now),
        lambda: report_jobs(caller=member.puller, agent=AGENT, reports=reports, lease_seconds=10, now=now),
        lambda: expire_leases(now=now),
        lambda: requeue_jobs(by=member.puller, job_ids=ids[:2], reason="x", now=now),
        lambda: cancel_jobs(by=member.submitter, job_ids=ids[:1], now=now),
        lambda: submitted(member, 2, now=now),
    ]
    dice.choice(verbs)()
