"""What an agent may say of a job, field by field."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from jobs.models import Job
from jobs.output_files import OutputFile, OutputFiles, from_document
from jobs.reports import Report
from jobs.services.report import report_jobs
from jobs.states import JobState
from rainbow.errors import InvalidArgument
from tests.support.lives import AGENT, job_in, row

pytestmark = pytest.mark.django_db

LIMIT = 64 * 1024
MINUTE = timedelta(minutes=1)


def tell(member: Any, job_id: int, *, now: datetime, state: JobState = JobState.FAILED, **said: Any) -> dict[str, Any]:
    """The job's row after one report on it."""
    report_jobs(
        caller=member.puller,
        agent=AGENT,
        reports=[Report(job_id=job_id, attempt=1, state=state, **said)],
        now=now,
    )
    return row(job_id)


def listed(*names: str, size: int = 1) -> OutputFiles:
    return OutputFiles(files=[OutputFile(name, size) for name in names], more=False)


# Refused


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("native_id", "x" * 256, "at most 255 characters, not 256"),
        ("native_id", "1\n2", "control characters"),
        ("native_id", "\0", "control characters"),
        ("native_id", "\ud800", "valid UTF-8"),
        ("reason", "x" * 4_097, "at most 4,096 bytes, not 4,097"),
        ("reason", "é" * 2_049, "at most 4,096 bytes, not 4,098"),
        ("reason", "\x1b[31m", "control characters"),
        ("reason", "\udfff", "valid UTF-8"),
        ("output", "\ud800", "valid UTF-8"),
        ("exit_code", 2**31, "not 2,147,483,648"),
        ("exit_code", -(2**31) - 1, "not -2,147,483,649"),
        ("state", JobState.QUEUED, "must be accepted, running, completed, failed or cancelled"),
        ("state", JobState.LOST, "must be accepted, running, completed, failed or cancelled"),
        ("output_files", listed("../x"), "relative path"),
        ("output_files", listed("/x"), "relative path"),
        ("output_files", listed("\ud800"), "valid UTF-8"),
        ("output_files", listed("x\ny"), "control characters"),
        ("output_files", listed("x", size=-1), "not -1"),
        ("output_files", listed("x", "x"), "twice"),
        ("output_files", listed(*map(str, range(1_001))), "at most 1,000, not 1,001"),
        ("output_files", listed(*(f"{number:0200}" for number in range(400))), "at most 65,536 bytes in all"),
    ],
)
def test_a_report_that_cannot_be_is_refused_by_its_field(
    alpha: Any, now: datetime, field: str, value: Any, message: str
) -> None:
    good, bad = (job_in(JobState.RUNNING, alpha, now=now) for _ in range(2))
    before = [row(good), row(bad)]
    reports = [
        Report(job_id=good, attempt=1, state=JobState.COMPLETED),
        Report(**{"job_id": bad, "attempt": 1, "state": JobState.FAILED, field: value}),
    ]

    with pytest.raises(InvalidArgument, match=message) as refusal:
        report_jobs(caller=alpha.puller, agent=AGENT, reports=reports, now=now)

    assert refusal.value.field == field
    assert [row(good), row(bad)] == before


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("agent", "", "must not be empty"),
        ("agent", "x" * 256, "at most 255 characters"),
        ("agent", "a\tb", "control characters"),
        ("not_ready", "x" * 1_001, "at most 1,000 characters"),
        ("not_ready", "a\nb", "control characters"),
        ("pause", "x" * 1_001, "at most 1,000 characters"),
        ("pause", "\x7f", "control characters"),
        ("lease_seconds", 9, "must be 10 to 86,400, not 9"),
        ("lease_seconds", -1, "must be 10 to 86,400, not -1"),
        ("lease_seconds", 86_401, "must be 10 to 86,400, not 86,401"),
    ],
)
def test_a_call_that_cannot_be_is_refused_by_its_field(
    alpha: Any, now: datetime, field: str, value: Any, message: str
) -> None:
    job_id = job_in(JobState.RUNNING, alpha, now=now)
    reports = [Report(job_id=job_id, attempt=1, state=JobState.COMPLETED)]

    with pytest.raises(InvalidArgument, match=message) as refusal:
        report_jobs(**{"caller": alpha.puller, "agent": AGENT, "reports": reports, "now": now, field: value})

    assert refusal.value.field == field
    assert row(job_id)["state"] == "running"


def test_more_than_a_thousand_reports_are_refused(alpha: Any, now: datetime) -> None:
    reports = [Report(job_id=number, attempt=1, state=JobState.RUNNING) for number in range(1_001)]

    with pytest.raises(InvalidArgument, match="must be at most 1,000, not 1,001"):
        report_jobs(caller=alpha.puller, agent=AGENT, reports=reports, now=now)

    assert len(report_jobs(caller=alpha.puller, agent=AGENT, reports=reports[1:], now=now)) == 1_000


def test_a_completed_job_has_no_exit_code_but_zero(alpha: Any, now: datetime) -> None:
    job_id = job_in(JobState.RUNNING, alpha, now=now)

    with pytest.raises(InvalidArgument, match="must be 0 or not said"):
        tell(alpha, job_id, state=JobState.COMPLETED, exit_code=1, now=now)

    assert tell(alpha, job_id, state=JobState.COMPLETED, now=now)["exit_code"] == 0


# Output


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("", ""),
        ("short", "short"),
        ("x" * LIMIT, "x" * LIMIT),
        ("begin" + "x" * LIMIT, "x" * LIMIT),
        ("é" * LIMIT, "é" * (LIMIT // 2)),
        ("x" + "é" * (LIMIT // 2), "é" * (LIMIT // 2)),
        ("é" * (LIMIT // 2) + "x", "é" * (LIMIT // 2 - 1) + "x"),
        ("🌈" * (LIMIT // 4) + "xyz", "🌈" * (LIMIT // 4 - 1) + "xyz"),
        ("a\0b\x1b[0m\r\n", "ab\x1b[0m\r\n"),
        ("\0" * LIMIT, ""),
    ],
)
def test_the_end_of_the_output_is_kept_in_whole_characters(alpha: Any, now: datetime, written: str, kept: str) -> None:
    job_id = job_in(JobState.RUNNING, alpha, now=now)

    assert tell(alpha, job_id, output=written, now=now)["output"] == kept


def test_a_report_without_output_leaves_what_is_there(alpha: Any, now: datetime) -> None:
    job_id = job_in(JobState.RUNNING, alpha, now=now)
    tell(alpha, job_id, state=JobState.RUNNING, output="so far", now=now)

    assert tell(alpha, job_id, now=now)["output"] == "so far"


# Reason, native id, exit code


def test_what_is_not_said_stays_as_it_was_said(alpha: Any, now: datetime) -> None:
    job_id = job_in(JobState.ACCEPTED, alpha, now=now)
    tell(alpha, job_id, state=JobState.ACCEPTED, native_id="4711", reason="Resources", now=now)

    job = tell(alpha, job_id, state=JobState.ACCEPTED, now=now)

    assert (job["native_id"], job["reason"]) == ("4711", "Resources")


def test_the_reason_of_a_state_ends_with_it(alpha: Any, now: datetime) -> None:
    job_id = job_in(JobState.ACCEPTED, alpha, now=now)
    tell(alpha, job_id, state=JobState.ACCEPTED, reason="Resources", now=now)

    running = tell(alpha, job_id, state=JobState.RUNNING, now=now)
    failed = tell(alpha, job_id, reason="NodeFail\nc1 is down\tsince noon", exit_code=-1, now=now)

    assert running["reason"] == ""
    assert (failed["reason"], failed["exit_code"]) == ("NodeFail\nc1 is down\tsince noon", -1)


def test_a_job_that_goes_on_has_no_exit_code(alpha: Any, now: datetime) -> None:
    job_id = job_in(JobState.ACCEPTED, alpha, now=now)

    assert tell(alpha, job_id, state=JobState.RUNNING, exit_code=3, now=now)["exit_code"] is None


@pytest.mark.parametrize("code", [0, 255, 2**31 - 1, -(2**31)])
def test_an_exit_code_is_kept_as_it_is(alpha: Any, now: datetime, code: int) -> None:
    job_id = job_in(JobState.RUNNING, alpha, now=now)

    assert tell(alpha, job_id, exit_code=code, now=now)["exit_code"] == code


# Times


def test_times_are_kept_as_they_are_said(alpha: Any, now: datetime) -> None:
    job_id = job_in(JobState.ACCEPTED, alpha, now=now)

    job = tell(alpha, job_id, started_at=now + MINUTE, finished_at=now + 2 * MINUTE, now=now + 5 * MINUTE)

    assert (job["started_at"], job["finished_at"]) == (now + MINUTE, now + 2 * MINUTE)


def test_times_that_are_not_said_are_those_of_the_report(alpha: Any, now: datetime) -> None:
    job_id = job_in(JobState.ACCEPTED, alpha, now=now)

    running = tell(alpha, job_id, state=JobState.RUNNING, now=now + MINUTE)
    failed = tell(alpha, job_id, now=now + 2 * MINUTE)

    assert (running["started_at"], failed["finished_at"]) == (now + MINUTE, now + 2 * MINUTE)


def test_a_job_that_ended_before_anybody_saw_it_run_has_no_start(alpha: Any, now: datetime) -> None:
    job_id = job_in(JobState.ACCEPTED, alpha, now=now)

    assert tell(alpha, job_id, now=now + MINUTE)["started_at"] is None


@pytest.mark.parametrize(
    ("started", "finished", "kept"),
    [
        (-60, 10, (0, 10)),
        (1, -60, (1, 1)),
        (60, 120, (30, 30)),
        (20, 10, (20, 20)),
        (-(10**9), 10**9, (0, 30)),
    ],
)
def test_times_of_a_clock_that_is_wrong_stay_between_the_acceptance_and_the_report(
    alpha: Any, now: datetime, started: int, finished: int, kept: tuple[int, int]
) -> None:
    def at(seconds: int) -> datetime:
        return now + timedelta(seconds=seconds)

    job_id = job_in(JobState.ACCEPTED, alpha, now=now)

    job = tell(alpha, job_id, started_at=at(started), finished_at=at(finished), now=at(30))

    assert (job["started_at"], job["finished_at"]) == tuple(map(at, kept))


def test_a_start_that_is_said_again_is_not_another_one(alpha: Any, now: datetime) -> None:
    job_id = job_in(JobState.ACCEPTED, alpha, now=now)
    tell(alpha, job_id, state=JobState.RUNNING, started_at=now + MINUTE, now=now + MINUTE)

    later = now + 5 * MINUTE
    job = tell(alpha, job_id, state=JobState.RUNNING, started_at=later, now=later)

    assert job["started_at"] == now + MINUTE
    assert Job.objects.get(id=job_id).events.filter(what="started").count() == 1


def test_files_are_told_of_jobs_that_ended_alone_and_the_last_word_stays(alpha: Any, now: datetime) -> None:
    job_id = job_in(JobState.RUNNING, alpha, now=now)
    with pytest.raises(InvalidArgument, match="only for a job that ended"):
        tell(alpha, job_id, now=now, state=JobState.RUNNING, output_files=listed("x"))

    tell(alpha, job_id, now=now, state=JobState.COMPLETED, output_files=listed("x", "y/z"))
    tell(alpha, job_id, now=now, state=JobState.COMPLETED)

    found = Job.objects.get(id=job_id).output_files
    assert from_document(found) == listed("x", "y/z")
