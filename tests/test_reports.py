"""An agent tells how its jobs go: what moves, what stays, what it is told in return."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from clusters.models import Cluster
from clusters.services.pause import pause_cluster
from jobs.models import Job, JobEvent
from jobs.outcomes import CancelOutcome
from jobs.reports import REPORTABLE, Report, Reported, ReportOutcome
from jobs.services.accept import accept_jobs
from jobs.services.cancel import cancel_jobs
from jobs.services.expire import expire_leases
from jobs.services.report import report_jobs
from jobs.services.requeue import requeue_jobs
from jobs.states import FINAL, MOVES, JobState
from tests.support.lives import AGENT, handed_over, job_in, replay, row
from tests.support.queue import counted, recounted, submitted

pytestmark = pytest.mark.django_db

COUNTED, STALE, UNKNOWN = ReportOutcome
LATER = timedelta(minutes=1)


def told(member: Any, *reports: Report, now: datetime, **further: Any) -> list[Reported]:
    return report_jobs(caller=member.puller, now=now, reports=reports, **{"agent": AGENT, **further})


def tell(member: Any, job_id: int, state: JobState, *, now: datetime, attempt: int = 1, **said: Any) -> Reported:
    """One report on one job."""
    (result,) = told(member, Report(job_id=job_id, attempt=attempt, state=state, **said), now=now)
    return result


def whats(job_id: int) -> list[str]:
    return list(JobEvent.objects.filter(job_id=job_id).order_by("id").values_list("what", flat=True))


# Where a job goes


@pytest.mark.parametrize("said", sorted(REPORTABLE))
@pytest.mark.parametrize("before", JobState)
def test_a_report_moves_a_job_along_the_moves_or_leaves_its_state(
    alpha: Any, now: datetime, before: JobState, said: JobState
) -> None:
    job_id = job_in(before, alpha, now=now)

    tell(alpha, job_id, said, now=now + LATER)

    after = JobState(row(job_id)["state"])
    assert after == before or after in MOVES[before]
    assert replay(job_id) == (after, 1)
    assert counted() == recounted()


@pytest.mark.parametrize(
    ("before", "said", "after", "outcome", "cancel"),
    [
        ("queued", "running", "queued", STALE, True),
        ("queued", "completed", "queued", STALE, True),
        ("accepted", "accepted", "accepted", COUNTED, False),
        ("accepted", "running", "running", COUNTED, False),
        ("accepted", "completed", "completed", COUNTED, False),
        ("accepted", "failed", "failed", COUNTED, False),
        ("accepted", "cancelled", "cancelled", COUNTED, False),
        ("running", "accepted", "running", COUNTED, False),
        ("running", "running", "running", COUNTED, False),
        ("running", "failed", "failed", COUNTED, False),
        ("running", "cancelled", "cancelled", COUNTED, False),
        ("lost", "accepted", "running", COUNTED, False),
        ("lost", "running", "running", COUNTED, False),
        ("lost", "completed", "completed", COUNTED, False),
        ("completed", "completed", "completed", COUNTED, False),
        ("completed", "failed", "completed", STALE, False),
        ("completed", "running", "completed", STALE, True),
        ("cancelled", "running", "cancelled", STALE, True),
        ("cancelled", "completed", "cancelled", STALE, False),
        ("failed", "accepted", "failed", STALE, True),
    ],
)
def test_a_report_is_answered_by_what_became_of_it(
    alpha: Any, now: datetime, before: str, said: str, after: str, outcome: ReportOutcome, cancel: bool
) -> None:
    job_id = job_in(JobState(before), alpha, now=now)

    result = tell(alpha, job_id, JobState(said), now=now + LATER)

    assert (row(job_id)["state"], result.outcome, result.cancel) == (after, outcome, cancel)
    assert (result.lease_expires_at is not None) == (outcome == COUNTED and after not in FINAL)


@pytest.mark.parametrize("state", JobState)
def test_a_report_of_another_attempt_changes_nothing_and_is_told_to_stop(
    alpha: Any, now: datetime, state: JobState
) -> None:
    job_id = job_in(state, alpha, now=now)
    before, events = row(job_id), whats(job_id)

    results = [tell(alpha, job_id, JobState.RUNNING, attempt=attempt, now=now + LATER) for attempt in (0, 2, -7)]

    assert {(result.outcome, result.cancel, result.lease_expires_at) for result in results} == {(STALE, True, None)}
    assert (row(job_id), whats(job_id)) == (before, events)


def test_jobs_that_the_cluster_does_not_have_are_unknown(alpha: Any, beta: Any, now: datetime) -> None:
    theirs = job_in(JobState.RUNNING, beta, now=now)
    before = row(theirs)

    results = [tell(alpha, job_id, JobState.COMPLETED, now=now) for job_id in (theirs, 2**31 - 1, 0, -1)]

    assert {(result.outcome, result.cancel) for result in results} == {(UNKNOWN, True)}
    assert row(theirs) == before


def test_every_report_has_its_result_in_their_order(alpha: Any, now: datetime) -> None:
    first, second = (job_in(JobState.ACCEPTED, alpha, now=now) for _ in range(2))
    reports = [(second, JobState.RUNNING), (10**6, JobState.FAILED), (first, JobState.COMPLETED)]

    results = told(alpha, *[Report(job_id=id, attempt=1, state=state) for id, state in reports], now=now)

    assert [(result.job_id, result.outcome) for result in results] == [
        (second, COUNTED),
        (10**6, UNKNOWN),
        (first, COUNTED),
    ]


def test_two_reports_of_one_job_in_a_call_are_heard_one_after_the_other(alpha: Any, now: datetime) -> None:
    job_id = job_in(JobState.ACCEPTED, alpha, now=now)
    states = (JobState.COMPLETED, JobState.RUNNING, JobState.COMPLETED)

    results = told(alpha, *[Report(job_id=job_id, attempt=1, state=state) for state in states], now=now)

    assert [result.outcome for result in results] == [COUNTED, STALE, COUNTED]
    assert whats(job_id) == ["submitted", "accepted", "ended"]
    assert row(job_id)["lease_expires_at"] is None


def test_a_report_that_comes_again_changes_nothing(alpha: Any, now: datetime) -> None:
    job_id = job_in(JobState.RUNNING, alpha, now=now)
    end = {"exit_code": 7, "reason": "out of memory", "output": "oops", "finished_at": now}
    tell(alpha, job_id, JobState.FAILED, now=now, **end)
    before, events = row(job_id), whats(job_id)

    result = tell(alpha, job_id, JobState.FAILED, now=now + LATER, **{**end, "exit_code": 8, "output": "else"})

    assert (result.outcome, result.cancel) == (COUNTED, False)
    assert (row(job_id), whats(job_id)) == (before, events)


def test_reports_in_the_wrong_order_end_where_the_right_order_does(alpha: Any, now: datetime) -> None:
    orders = [(JobState.ACCEPTED, JobState.RUNNING, JobState.COMPLETED)]
    orders += [tuple(reversed(orders[0])), (JobState.RUNNING, JobState.ACCEPTED, JobState.COMPLETED)]

    for states in orders:
        job_id = job_in(JobState.ACCEPTED, alpha, now=now)
        for state in states:
            tell(alpha, job_id, state, now=now + LATER)
        assert row(job_id)["state"] == "completed"


# Lost and found


def test_a_lost_job_is_found_where_it_was(alpha: Any, now: datetime) -> None:
    never_ran, ran = submitted(alpha, 2, now=now)
    accept_jobs(caller=alpha.puller, job_ids=[never_ran, ran], agent=AGENT, now=now)
    tell(alpha, never_ran, JobState.ACCEPTED, native_id="1", now=now)
    tell(alpha, ran, JobState.RUNNING, native_id="2", now=now)
    for seconds in range(0, 320, 5):
        expire_leases(now=now + timedelta(seconds=seconds))
    assert {row(job_id)["state"] for job_id in (never_ran, ran)} == {"lost"}

    for job_id in (never_ran, ran):
        tell(alpha, job_id, JobState.ACCEPTED, now=now + timedelta(hours=3))

    assert [row(job_id)["state"] for job_id in (never_ran, ran)] == ["accepted", "running"]
    assert whats(never_ran)[-2:] == whats(ran)[-2:] == ["lost", "found"]
    assert [row(job_id)["reason"] for job_id in (never_ran, ran)] == ["", ""]
    assert [row(job_id)["lost_at"] for job_id in (never_ran, ran)] == [None, None]


def test_a_lost_job_that_started_meanwhile_is_found_and_started(alpha: Any, now: datetime) -> None:
    job_id = job_in(JobState.LOST, alpha, now=now)
    Job.objects.filter(id=job_id).update(started_at=None)

    tell(alpha, job_id, JobState.RUNNING, now=now + LATER)

    assert whats(job_id)[-2:] == ["found", "started"]
    assert (row(job_id)["started_at"], replay(job_id)) == (now + LATER, ("running", 1))
    assert counted() == recounted()


def test_a_lost_job_that_is_over_has_ended(alpha: Any, now: datetime) -> None:
    job_id = job_in(JobState.LOST, alpha, now=now)

    tell(alpha, job_id, JobState.FAILED, exit_code=1, now=now + LATER)

    assert (whats(job_id)[-2:], row(job_id)["state"]) == (["lost", "ended"], "failed")


def test_a_report_of_the_attempt_before_a_requeue_is_told_to_stop(alpha: Any, now: datetime) -> None:
    job_id = job_in(JobState.LOST, alpha, now=now)
    requeue_jobs(by=alpha.puller, job_ids=[job_id], reason="gone", now=now)

    waiting = tell(alpha, job_id, JobState.RUNNING, now=now)
    accept_jobs(caller=alpha.puller, job_ids=[job_id], agent="agent-2", now=now)
    taken = tell(alpha, job_id, JobState.COMPLETED, now=now)

    assert [(result.outcome, result.cancel) for result in (waiting, taken)] == [(STALE, True)] * 2
    assert (row(job_id)["state"], row(job_id)["agent"], row(job_id)["attempt"]) == ("accepted", "agent-2", 2)


# Cancelling


def test_an_agent_is_told_to_stop_what_somebody_cancelled_until_it_confirms(alpha: Any, now: datetime) -> None:
    job_id = job_in(JobState.RUNNING, alpha, now=now)
    (asked,) = cancel_jobs(by=alpha.submitter, job_ids=[job_id], reason="wrong input", now=now)

    heard = [tell(alpha, job_id, JobState.RUNNING, now=now + LATER).cancel for _ in range(2)]
    confirmed = tell(alpha, job_id, JobState.CANCELLED, now=now + LATER)

    assert (asked.outcome, heard, confirmed.cancel) == (CancelOutcome.REQUESTED, [True, True], False)
    assert (row(job_id)["state"], row(job_id)["reason"]) == ("cancelled", "wrong input")


def test_a_job_may_end_by_itself_before_it_is_stopped(alpha: Any, now: datetime) -> None:
    job_id = job_in(JobState.RUNNING, alpha, now=now)
    cancel_jobs(by=alpha.submitter, job_ids=[job_id], now=now)

    result = tell(alpha, job_id, JobState.COMPLETED, now=now)

    assert (result.cancel, row(job_id)["state"], row(job_id)["exit_code"]) == (False, "completed", 0)


def test_the_agent_of_a_lost_job_that_was_cancelled_is_told_to_stop_it(alpha: Any, now: datetime) -> None:
    job_id = job_in(JobState.LOST, alpha, now=now)
    cancel_jobs(by=alpha.submitter, job_ids=[job_id], now=now)

    result = tell(alpha, job_id, JobState.RUNNING, now=now)

    assert (result.outcome, result.cancel, row(job_id)["state"]) == (STALE, True, "cancelled")


# Leases, agents, readiness


def test_a_report_renews_the_lease_of_what_is_not_over(alpha: Any, now: datetime) -> None:
    waits, runs, ends = (
        job_in(state, alpha, now=now) for state in (JobState.ACCEPTED, JobState.RUNNING, JobState.RUNNING)
    )
    states = {waits: JobState.ACCEPTED, runs: JobState.RUNNING, ends: JobState.COMPLETED}

    results = told(
        alpha,
        *[Report(job_id=id, attempt=1, state=state) for id, state in states.items()],
        lease_seconds=60,
        now=now + LATER,
    )

    until = now + LATER + timedelta(seconds=60)
    assert [result.lease_expires_at for result in results] == [until, until, None]
    assert [row(job_id)["lease_expires_at"] for job_id in states] == [until, until, None]
    assert [row(job_id)["lease_seconds"] for job_id in states] == [60, 60, None]


def test_a_job_that_was_handed_over_plainly_belongs_to_the_agent_that_reports_it(alpha: Any, now: datetime) -> None:
    job_id = handed_over(alpha, now=now)

    result = tell(alpha, job_id, JobState.RUNNING, native_id="77", now=now + LATER)

    assert (result.outcome, result.lease_expires_at) == (COUNTED, now + LATER + timedelta(seconds=300))
    assert (row(job_id)["agent"], row(job_id)["native_id"], row(job_id)["state"]) == (AGENT, "77", "running")


def test_another_agent_of_the_cluster_may_take_over(alpha: Any, now: datetime) -> None:
    job_id = job_in(JobState.RUNNING, alpha, now=now)

    told(alpha, Report(job_id=job_id, attempt=1, state=JobState.RUNNING), agent="agent-2", now=now)

    assert row(job_id)["agent"] == "agent-2"


def test_why_a_cluster_takes_nothing_is_noted_until_it_does(alpha: Any, now: datetime) -> None:
    def noted() -> str:
        return Cluster.objects.get(id=alpha.cluster.id).not_ready

    told(alpha, not_ready="slurmctld does not answer", now=now)
    said = noted()
    told(alpha, now=now + LATER)

    assert (said, noted()) == ("slurmctld does not answer", "")


@pytest.mark.parametrize("agent", ["agent-1", "a" * 255])
def test_an_agent_may_pause_its_cluster(alpha: Any, now: datetime, agent: str) -> None:
    told(alpha, pause="5 jobs in a row failed at once", agent=agent, now=now)

    cluster = Cluster.objects.get(id=alpha.cluster.id)
    assert (cluster.paused_at, cluster.paused_reason) == (now, "5 jobs in a row failed at once")
    assert cluster.paused_by == f"agent {agent}"[:255]


def test_reports_count_though_the_cluster_is_paused_already(alpha: Any, now: datetime) -> None:
    job_id = job_in(JobState.RUNNING, alpha, now=now)
    pause_cluster(cluster_id=alpha.cluster.id, reason="maintenance", by=None, now=now)

    # The caller was admitted a moment before.
    assert not alpha.puller.paused
    told(alpha, Report(job_id=job_id, attempt=1, state=JobState.FAILED), pause="black hole", now=now)

    assert row(job_id)["state"] == "failed"
    assert Cluster.objects.get(id=alpha.cluster.id).paused_reason == "maintenance"


# What it costs


@pytest.mark.parametrize("jobs", [10, 1_000])
def test_signs_of_life_take_the_same_few_statements_for_any_number_of_jobs(
    alpha: Any, now: datetime, jobs: int
) -> None:
    ids = submitted(alpha, jobs, now=now)
    accept_jobs(caller=alpha.puller, job_ids=ids, agent=AGENT, now=now)
    reports = [Report(job_id=id, attempt=1, state=JobState.RUNNING, native_id=str(id)) for id in ids]
    told(alpha, *reports, now=now)

    with CaptureQueriesContext(connection) as queries:
        results = told(alpha, *reports, now=now + LATER)

    statements = [query["sql"] for query in queries if "SAVEPOINT" not in query["sql"]]
    assert [sql.split()[0] for sql in statements] == ["SELECT", "UPDATE", "SELECT"]
    assert {result.outcome for result in results} == {COUNTED}
    assert set(Job.objects.values_list("lease_expires_at", flat=True)) == {now + LATER + timedelta(seconds=300)}


def test_only_what_changed_is_written(alpha: Any, now: datetime) -> None:
    same, ends = (job_in(JobState.RUNNING, alpha, now=now) for _ in range(2))
    tell(alpha, same, JobState.RUNNING, output="so far", now=now)
    reports = [
        Report(job_id=same, attempt=1, state=JobState.RUNNING),
        Report(job_id=ends, attempt=1, state=JobState.FAILED, exit_code=3, output="the end"),
    ]

    told(alpha, *reports, now=now + LATER)

    assert (row(same)["output"], row(same)["state"]) == ("so far", "running")
    assert (row(ends)["output"], row(ends)["exit_code"]) == ("the end", 3)


def test_why_somebody_asked_for_a_job_to_stop_stays_while_it_waits(alpha: Any, now: datetime) -> None:
    job_id = job_in(JobState.ACCEPTED, alpha, now=now)
    cancel_jobs(by=alpha.submitter, job_ids=[job_id], reason="wrong input file", now=now)

    tell(alpha, job_id, JobState.ACCEPTED, reason="Resources", now=now + LATER)
    while_it_waits = row(job_id)["reason"]
    tell(alpha, job_id, JobState.CANCELLED, now=now + LATER)

    assert (while_it_waits, row(job_id)["reason"]) == ("wrong input file", "wrong input file")


def test_ends_take_the_same_statements_for_any_number_of_jobs(alpha: Any, now: datetime) -> None:
    def statements_for(jobs: int) -> int:
        ids = submitted(alpha, jobs, now=now)
        accept_jobs(caller=alpha.puller, job_ids=ids, agent=AGENT, now=now)
        with CaptureQueriesContext(connection) as queries:
            told(alpha, *(Report(job_id=id, attempt=1, state=JobState.COMPLETED) for id in ids), now=now)
        return len(queries)

    assert statements_for(8) == statements_for(2)
