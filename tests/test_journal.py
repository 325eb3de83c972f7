"""The agent's journal."""

import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from rainbow.agent.journal import Entry, Journal, Step
from rainbow.errors import FailedPrecondition
from rainbow.executors.executor import Ending, JobPhase, Progress
from rainbow.specs import Work

ROOT = Path(__file__).parent.parent
WORK = Work(command="echo é", nodes=2, tasks=4, time_limit_seconds=60, environment={"A": "1"}, working_directory="/tmp")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def journal(folder: Path) -> Iterator[Journal]:
    with Journal(folder) as opened:
        yield opened


def entry(jobid: int, attempt: int = 1) -> Entry:
    return Entry(jobid=jobid, attempt=attempt, work=WORK)


def only(journal: Journal) -> Entry:
    (found,) = journal.unreported()
    return found


def test_a_job_goes_from_step_to_step(journal: Journal, now: datetime) -> None:
    running = Progress(phase=JobPhase.RUNNING, started_at=now)
    ended = Progress(
        phase=JobPhase.ENDED, ending=Ending.EXITED, exit_code=7, reason="seven", started_at=now, ended_at=now
    )

    journal.accepted([entry(7, attempt=2)], now=now)
    assert only(journal) == entry(7, attempt=2)
    key = only(journal).key
    assert key == "rainbow-7-2"
    journal.submitting(key, now=now)
    assert only(journal).step == Step.SUBMITTING
    journal.submitted(key, "4711", now=now)
    assert (only(journal).step, only(journal).native_id) == (Step.SUBMITTED, "4711")
    journal.running(key, running, now=now)
    assert (only(journal).step, only(journal).progress) == (Step.RUNNING, running)
    journal.ended(key, ended, now=now)
    assert (only(journal).step, only(journal).progress, only(journal).native_id) == (Step.ENDED, ended, "4711")
    journal.reported([key], now=now)
    assert journal.unreported() == []


def test_steps_that_are_noted_together_are_one_transaction(journal: Journal, now: datetime) -> None:
    statements: list[str] = []
    journal._database.set_trace_callback(statements.append)

    with journal.together():
        journal.accepted([entry(1), entry(2)], now=now)
        journal.submitting("rainbow-1-1", now=now)
        journal.submitting("rainbow-2-1", now=now)

    assert [found.step for found in journal.unreported()] == [Step.SUBMITTING, Step.SUBMITTING]
    assert statements.count("COMMIT") == 1


def test_of_steps_that_are_noted_together_none_is_left_where_one_fails(journal: Journal, now: datetime) -> None:
    journal.accepted([entry(1)], now=now)

    with pytest.raises(FailedPrecondition), journal.together():
        journal.submitting("rainbow-1-1", now=now)
        journal.submitting("rainbow-9-1", now=now)

    assert only(journal).step == Step.ACCEPTED
    journal.submitting("rainbow-1-1", now=now)
    assert only(journal).step == Step.SUBMITTING


def test_a_job_that_was_refused_ends_without_a_native_id(journal: Journal, now: datetime) -> None:
    journal.accepted([entry(1)], now=now)

    journal.ended("rainbow-1-1", Progress(phase=JobPhase.ENDED, ending=Ending.FAILED, reason="no"), now=now)

    assert (only(journal).step, only(journal).native_id) == (Step.ENDED, "")


def test_no_step_is_taken_back(journal: Journal, now: datetime) -> None:
    ended = Progress(phase=JobPhase.ENDED, ending=Ending.EXITED, exit_code=0)
    journal.accepted([entry(1)], now=now)
    journal.submitted("rainbow-1-1", "4711", now=now)
    journal.ended("rainbow-1-1", ended, now=now)

    journal.accepted([entry(1)], now=now)
    journal.submitting("rainbow-1-1", now=now)
    journal.running("rainbow-1-1", Progress(phase=JobPhase.RUNNING), now=now)

    assert (only(journal).step, only(journal).progress, only(journal).native_id) == (Step.ENDED, ended, "4711")


def test_a_stranger_is_refused(journal: Journal, now: datetime) -> None:
    with pytest.raises(FailedPrecondition, match="rainbow-9-1 is not in the journal"):
        journal.submitting("rainbow-9-1", now=now)


def test_attempts_are_jobs_of_their_own(journal: Journal, now: datetime) -> None:
    journal.accepted([entry(2), entry(1, attempt=2), entry(1)], now=now)

    assert [found.key for found in journal.unreported()] == ["rainbow-1-1", "rainbow-1-2", "rainbow-2-1"]


def test_what_is_reported_is_kept_until_it_is_dropped(journal: Journal, now: datetime) -> None:
    journal.accepted([entry(1), entry(2), entry(3)], now=now)
    journal.submitted("rainbow-1-1", "4711", now=now)
    journal.reported(["rainbow-1-1"], now=now)
    journal.reported(["rainbow-2-1"], now=now + timedelta(hours=1))

    done = {item.ticket.key: (item.ticket.native_id, item.at) for item in journal.done()}
    journal.drop(["rainbow-1-1"])

    assert done == {"rainbow-1-1": ("4711", now), "rainbow-2-1": ("", now + timedelta(hours=1))}
    assert [item.ticket.key for item in journal.done()] == ["rainbow-2-1"]
    assert only(journal).key == "rainbow-3-1"


def test_two_agents_never_share_a_folder(journal: Journal, folder: Path) -> None:
    with pytest.raises(FailedPrecondition, match="another agent uses"):
        Journal(folder)


def test_the_folder_is_free_again_after_closing(folder: Path, now: datetime) -> None:
    with Journal(folder) as first:
        first.accepted([entry(1)], now=now)

    with Journal(folder) as second:
        assert only(second) == entry(1)


def test_what_was_noted_outlives_a_killed_agent(folder: Path) -> None:
    program = f"""
import os, signal
from datetime import UTC, datetime
from pathlib import Path
from rainbow.specs import Work
from rainbow.agent.journal import Entry, Journal
now = datetime.now(UTC)
journal = Journal(Path({str(folder)!r}))
journal.accepted([Entry(jobid=1, attempt=1, work=Work(command="true"))], now=now)
journal.submitting("rainbow-1-1", now=now)
os.kill(os.getpid(), signal.SIGKILL)
"""
    killed = subprocess.run([sys.executable, "-c", program], cwd=ROOT)

    with Journal(folder) as journal:
        found = only(journal)

    assert killed.returncode == -signal.SIGKILL
    assert (found.key, found.step) == ("rainbow-1-1", Step.SUBMITTING)


def test_a_failed_note_changes_nothing(journal: Journal, now: datetime) -> None:
    with pytest.raises(OverflowError):
        journal.accepted([entry(1), entry(2**70)], now=now)

    assert journal.unreported() == []


def test_the_journal_of_a_newer_rainbow_is_left_alone(folder: Path) -> None:
    Journal(folder).close()
    with sqlite3.connect(folder / "journal.db") as database:
        database.execute("PRAGMA user_version = 99")
    database.close()

    with pytest.raises(FailedPrecondition, match="newer rainbow"):
        Journal(folder)


def test_others_cannot_read_it(journal: Journal, folder: Path) -> None:
    modes = {path.name: path.stat().st_mode & 0o077 for path in (folder, *folder.iterdir())}

    assert set(modes.values()) == {0}, modes


def as_version_1(folder: Path) -> None:
    with sqlite3.connect(folder / "journal.db") as database:
        database.execute("PRAGMA user_version = 1")
    database.close()


def test_the_journal_of_an_earlier_rainbow_is_taken_over_with_its_jobs(folder: Path, now: datetime) -> None:
    with Journal(folder) as earlier:
        earlier.accepted([entry(1)], now=now)
        earlier.submitting("rainbow-1-1", now=now)
    as_version_1(folder)

    with Journal(folder) as journal:
        assert only(journal).step == Step.SUBMITTING


def test_local_jobs_that_an_earlier_rainbow_runs_are_left_to_it(folder: Path, now: datetime) -> None:
    """Their runners write where this one does not look: it would tell that they failed, or run them again."""
    with Journal(folder) as earlier:
        earlier.accepted([entry(1), entry(2)], now=now)
        earlier.submitting("rainbow-2-1", now=now)
    (folder / "jobs" / "rainbow-2-1").mkdir(parents=True)
    (folder / "jobs" / "rainbow-2-1" / "lock").touch()
    as_version_1(folder)

    for _ in range(2):
        with pytest.raises(FailedPrecondition, match=r"an earlier rainbow started jobs of .*: rainbow-2-1; run that"):
            Journal(folder)
    with sqlite3.connect(folder / "journal.db") as database:
        assert database.execute("PRAGMA user_version").fetchone() == (1,)
    database.close()
