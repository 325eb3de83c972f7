"""Jobs that are tried again when an attempt ends for a cause for which their submitters wished that."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from jobs.models import Job, JobAttempt, JobEvent
from jobs.outcomes import CancelOutcome
from jobs.output_files import OutputFile, OutputFiles
from jobs.queries.checks.finding import Range
from jobs.queries.checks.histories import histories
from jobs.queries.explain import explain_wait
from jobs.queries.lookup import get_jobs
from jobs.queries.queue import request_jobs
from jobs.reports import Report, ReportOutcome
from jobs.retries import LONGEST_PAUSE, pause_before
from jobs.services.accept import accept_jobs
from jobs.services.cancel import cancel_jobs
from jobs.services.report import report_jobs
from jobs.services.retry import queue_due_retries, retries_are_due
from jobs.states import EndCause, JobState
from rainbow.protos import rainbow_pb2 as pb
from tests.support.commandline import Run, answer
from tests.support.console import signed_in
from tests.support.leases import Watch, watching
from tests.support.lives import AGENT, job_in, replay, row
from tests.support.pools import pool_of
from tests.support.queue import counted, recounted, submitted
from tests.support.wire import Remote

pytestmark = pytest.mark.django_db

LATER = timedelta(minutes=1)


@pytest.fixture
def watch(db: None, now: datetime) -> Watch:
    return watching(now)


def ends(member: Any, job_id: int, cause: EndCause | None, *, now: datetime, attempt: int = 1, **said: Any) -> Any:
    """The scheduler ran it, and reports this end."""
    report = Report(job_id=job_id, attempt=attempt, state=JobState.FAILED, end_cause=cause, **said)
    (result,) = report_jobs(caller=member.puller, agent=AGENT, reports=[report], now=now)
    return result


def whats(job_id: int) -> list[str]:
    return list(JobEvent.objects.filter(job_id=job_id).order_by("id").values_list("what", flat=True))


def test_an_attempt_that_ends_so_is_followed_by_another(alpha: Any, now: datetime) -> None:
    job_id = job_in(JobState.RUNNING, alpha, now=now, retry_most=1)

    result = ends(alpha, job_id, EndCause.NODE_FAILED, now=now + LATER, native_id="4711", reason="n1 is down")

    assert (result.outcome, result.cancel, result.lease_expires_at) == (ReportOutcome.COUNTED, False, None)
    job = Job.objects.get(id=job_id)
    assert (job.state, job.attempt, job.agent, job.native_id, job.queue_id) == ("blocked", 2, "", "", None)
    assert job.reason == "after attempt 1: n1 is down"
    assert whats(job_id)[-1] == "retried"
    assert replay(job_id) == ("blocked", 2)
    assert counted() == recounted()
    assert not list(histories(Range(after=0, last=job_id)))


def test_the_files_of_an_attempt_leave_the_record_with_it(alpha: Any, now: datetime) -> None:
    """They can no longer be fetched by the id of the job, which means the attempt that is to come."""
    job_id = job_in(JobState.RUNNING, alpha, now=now, retry_most=1, outputs=("a",))
    left = OutputFiles(files=(OutputFile(name="a", size=1),), more=False)

    for attempt, listed in ((1, None), (2, list(left.files))):
        if attempt == 2:
            queue_due_retries(now=now + LATER + pause_before(1))
            accept_jobs(caller=alpha.puller, job_ids=[job_id], agent=AGENT, now=now + 2 * LATER)
        said = {"attempt": attempt, "now": now + attempt * LATER, "output_files": left}
        ends(alpha, job_id, EndCause.NODE_FAILED, **said)

        found = get_jobs(by=alpha.submitter, job_ids=[job_id])[job_id].output_files
        assert (found and list(found.files)) == listed


def test_many_that_are_tried_again_take_as_many_statements_as_few(
    alpha: Any, now: datetime, limits_are_known: None
) -> None:
    def statements(number: int) -> int:
        jobs = [job_in(JobState.RUNNING, alpha, now=now, retry_most=1) for _ in range(number)]
        said = {"attempt": 1, "state": JobState.FAILED, "end_cause": EndCause.NODE_FAILED}
        reports = [Report(job_id=job_id, **said) for job_id in jobs]
        with CaptureQueriesContext(connection) as captured:
            report_jobs(caller=alpha.puller, agent=AGENT, reports=reports, now=now)
        assert {state for (state,) in Job.objects.filter(id__in=jobs).values_list("state")} == {"blocked"}
        return len(captured)

    assert statements(20) == statements(2)


def test_it_is_offered_once_the_pause_is_over(alpha: Any, now: datetime) -> None:
    job_id = job_in(JobState.RUNNING, alpha, now=now, retry_most=1)
    ends(alpha, job_id, EndCause.PREEMPTED, now=now)
    due = now + pause_before(1)

    assert queue_due_retries(now=due - timedelta(seconds=1)) == 0
    assert not retries_are_due(now=due - timedelta(seconds=1))
    assert list(request_jobs(caller=alpha.puller, now=now)) == []
    assert retries_are_due(now=due)
    assert queue_due_retries(now=due) == 1
    assert queue_due_retries(now=due) == 0

    assert [job.id for job in request_jobs(caller=alpha.puller, now=due)] == [job_id]
    assert whats(job_id)[-2:] == ["retried", "released"]
    assert row(job_id)["retry_at"] is None
    accepted = accept_jobs(caller=alpha.puller, job_ids=[job_id], agent=AGENT, now=due)
    assert [one.attempt for one in accepted.accepted] == [2]
    assert counted() == recounted()


def test_after_as_many_retries_as_it_has_it_fails(alpha: Any, now: datetime) -> None:
    job_id = job_in(JobState.RUNNING, alpha, now=now, retry_most=2, retry_on=("exit_code:75",))

    for attempt in (1, 2, 3):
        ends(alpha, job_id, EndCause.EXIT, exit_code=75, attempt=attempt, now=now)
        now += LONGEST_PAUSE
        queue_due_retries(now=now)
        accept_jobs(caller=alpha.puller, job_ids=[job_id], agent=AGENT, now=now)

    job = Job.objects.get(id=job_id)
    assert (job.state, job.attempt, job.exit_code, job.end_cause) == ("failed", 3, 75, "exit")
    assert list(JobAttempt.objects.filter(job_id=job_id).values_list("attempt", "exit_code")) == [(1, 75), (2, 75)]


@pytest.mark.parametrize(
    ("wish", "cause", "code", "again"),
    [
        ((), EndCause.NODE_FAILED, None, True),
        ((), EndCause.PREEMPTED, None, True),
        ((), EndCause.TIMED_OUT, None, False),
        ((), EndCause.EXIT, 1, False),
        (("timed_out",), EndCause.TIMED_OUT, None, True),
        (("timed_out",), EndCause.NODE_FAILED, None, False),
        (("out_of_memory",), EndCause.OUT_OF_MEMORY, None, True),
        (("signal",), EndCause.SIGNAL, 137, True),
        (("exit_code",), EndCause.EXIT, 7, True),
        (("exit_code",), EndCause.SIGNAL, 137, False),
        (("exit_code:75",), EndCause.EXIT, 75, True),
        (("exit_code:75",), EndCause.EXIT, 7, False),
        (("exit_code:75",), None, 75, True),
        (("given_up",), EndCause.GIVEN_UP, None, True),
        (("lost",), EndCause.VANISHED, None, False),
        (("lost", "signal"), None, None, False),
    ],
)
def test_the_cause_decides(
    alpha: Any, now: datetime, wish: tuple[str, ...], cause: EndCause | None, code: int | None, again: bool
) -> None:
    job_id = job_in(JobState.RUNNING, alpha, now=now, retry_most=1, retry_on=wish)

    ends(alpha, job_id, cause, exit_code=code, now=now)

    assert row(job_id)["state"] == ("blocked" if again else "failed")


def test_a_job_without_the_wish_ends_and_has_no_earlier_attempts(alpha: Any, now: datetime) -> None:
    job_id = job_in(JobState.RUNNING, alpha, now=now)

    ends(alpha, job_id, EndCause.NODE_FAILED, now=now)

    assert (row(job_id)["state"], row(job_id)["end_cause"]) == ("failed", "node_failed")
    assert not JobAttempt.objects.exists()


def test_a_job_that_is_to_stop_is_not_tried_again(alpha: Any, now: datetime) -> None:
    job_id = job_in(JobState.RUNNING, alpha, now=now, retry_most=1)
    cancel_jobs(by=alpha.submitter, job_ids=[job_id], now=now)

    ends(alpha, job_id, EndCause.NODE_FAILED, now=now)

    assert row(job_id)["state"] == "failed"


def test_a_job_that_waits_to_be_tried_again_can_be_cancelled(alpha: Any, now: datetime) -> None:
    job_id = job_in(JobState.RUNNING, alpha, now=now, retry_most=1)
    ends(alpha, job_id, EndCause.NODE_FAILED, now=now)

    (result,) = cancel_jobs(by=alpha.submitter, job_ids=[job_id], now=now)

    assert result.outcome == CancelOutcome.CANCELLED
    assert queue_due_retries(now=now + LONGEST_PAUSE) == 0
    assert counted() == recounted()


def test_a_report_that_is_repeated_changes_nothing(alpha: Any, now: datetime) -> None:
    job_id = job_in(JobState.RUNNING, alpha, now=now, retry_most=9)
    ends(alpha, job_id, EndCause.NODE_FAILED, now=now)
    before = row(job_id)

    assert ends(alpha, job_id, EndCause.NODE_FAILED, now=now).outcome == ReportOutcome.STALE
    assert row(job_id) == before


def test_of_two_reports_in_one_call_the_second_is_late(alpha: Any, now: datetime) -> None:
    job_id = job_in(JobState.RUNNING, alpha, now=now, retry_most=9)
    end = Report(job_id=job_id, attempt=1, state=JobState.FAILED, end_cause=EndCause.NODE_FAILED)

    results = report_jobs(caller=alpha.puller, agent=AGENT, reports=[end, end], now=now)

    assert [result.outcome for result in results] == [ReportOutcome.COUNTED, ReportOutcome.STALE]
    assert row(job_id)["attempt"] == 2


def test_each_attempt_is_on_record_and_shown_with_its_end(alpha: Any, now: datetime) -> None:
    job_id = job_in(JobState.ACCEPTED, alpha, now=now, retry_most=1, retry_on=("timed_out",))
    ended_at = now + timedelta(minutes=10)

    ends(
        alpha, job_id, EndCause.TIMED_OUT, native_id="4711", reason="reached its time limit", output="so far\n",
        started_at=now, finished_at=ended_at, now=ended_at,
    )  # fmt: skip

    found = get_jobs(by=alpha.submitter, job_ids=[job_id])[job_id]
    (attempt,) = found.attempts
    assert (attempt.attempt, attempt.cluster.name, attempt.native_id) == (1, "alpha", "4711")
    assert (attempt.accepted_at, attempt.started_at, attempt.ended_at) == (now, now, ended_at)
    assert (attempt.end_cause, attempt.exit_code, attempt.reason) == ("timed_out", None, "reached its time limit")
    assert found.output == "so far\n"
    assert whats(job_id) == ["submitted", "accepted", "started", "retried"]


def test_why_it_waits_is_told(alpha: Any, now: datetime) -> None:
    job_id = job_in(JobState.RUNNING, alpha, now=now, retry_most=1)
    ends(alpha, job_id, EndCause.NODE_FAILED, reason="n1 is down", now=now)

    explanation = explain_wait(job=Job.objects.get(id=job_id), now=now)

    assert explanation
    assert explanation.found.startswith(f"it is tried again at {now + pause_before(1):%Y-%m-%d %H:%M:%S} UTC")
    assert explanation.found.endswith(" UTC, after attempt 1: n1 is down")


def test_a_lost_job_is_tried_again_where_its_submitter_wished_that(alpha: Any, watch: Watch, now: datetime) -> None:
    job_id = job_in(JobState.RUNNING, alpha, now=now, retry_most=1, retry_on=("lost",))
    Job.objects.filter(id=job_id).update(lease_seconds=300, lease_expires_at=now + timedelta(seconds=300))

    done = watch.until(now + timedelta(seconds=310))

    assert (done.requeued, done.lost) == (1, 0)
    assert (row(job_id)["state"], row(job_id)["attempt"]) == ("blocked", 2)
    assert whats(job_id)[-2:] == ["lost", "retried"]
    assert counted() == recounted()


def test_a_job_goes_back_to_the_pool_that_it_was_taken_from(alpha: Any, beta: Any, now: datetime) -> None:
    pool = pool_of("alpha", "beta", now=now)
    (job_id,) = submitted(pool, now=now, retry_most=1)
    accept_jobs(caller=alpha.puller, job_ids=[job_id], agent=AGENT, now=now)

    ends(alpha, job_id, EndCause.NODE_FAILED, now=now)
    queue_due_retries(now=now + LONGEST_PAUSE)

    job = Job.objects.get(id=job_id)
    assert (job.state, job.cluster.name, job.taken_from) == ("queued", "big", None)
    assert [one.id for one in request_jobs(caller=beta.puller, shared=True, now=now)] == [job_id]
    assert counted() == recounted()


def test_pauses_double_up_to_a_bound() -> None:
    assert [pause_before(retry).total_seconds() for retry in (1, 2, 3)] == [30, 60, 120]
    assert pause_before(100) == LONGEST_PAUSE


def test_operators_see_the_earlier_attempts(alpha: Any, now: datetime) -> None:
    job_id = job_in(JobState.RUNNING, alpha, now=now, retry_most=1)
    ends(alpha, job_id, EndCause.NODE_FAILED, native_id="4711", reason="n1 is down", now=now)

    page = signed_in("vera", "viewers").get(f"/admin/jobs/job/{job_id}/change/").content.decode()

    assert "Earlier attempts" in page
    assert "<td>4711</td>" in page
    assert "n1 is down" in page


def test_a_submitter_wishes_it_and_sees_what_came_of_it_on_the_command_line(rainbow: Run, remote: Remote) -> None:
    wish = ("--retry", "2", "--retry-on", "timed_out,exit_code:75", "--retry-on", "signal")
    jobid = answer(rainbow("submit", "--json", *wish, "--", "false"))["jobid"]
    rainbow("request", "--accept", "1", "--agent", "login1")
    end = pb.JobReport(
        jobid=jobid, attempt=1, state=pb.JOB_STATE_FAILED, native_id="4711", exit_code=75, end_cause=pb.END_CAUSE_EXIT
    )
    remote.stub.ReportJobs(pb.ReportJobsRequest(agent="login1", reports=[end]), metadata=remote.by_secret)

    shown, job = rainbow("job", str(jobid)).stdout, answer(rainbow("job", "--json", str(jobid)))

    assert (job["state"], job["attempt"], job["retry_most"]) == ("blocked", 2, 2)
    assert job["retry_on"] == ["timed_out", "exit_code:75", "signal"]
    assert job["retry_at"]
    (attempt,) = job["attempts"]
    assert (attempt["attempt"], attempt["cluster"], attempt["native_id"]) == (1, remote.name, "4711")
    assert (attempt["end_cause"], attempt["exit_code"]) == ("exit", 75)
    assert "NATIVE ID" in shown
    assert "Why it waits: it is tried again at" in shown


def test_a_cause_that_is_none_is_refused_by_name(rainbow: Run) -> None:
    result = rainbow("submit", "--retry", "1", "--retry-on", "exit_code:0", "--", "false")

    assert result.exit_code == 2
    assert "retry_on" in result.stderr or "--retry-on" in result.stderr
