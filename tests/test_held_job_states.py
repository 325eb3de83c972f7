"""The states of a job that an agent holds."""

import re
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rainbow.agent.context import ignore_checkpoint
from rainbow.agent.held_job import HeldJob
from rainbow.agent.held_jobs import HeldJobs
from rainbow.agent.journal import Entry, Journal, Step
from rainbow.agent.states import AFTER_A_RESTART, MOVES, STEPS, Desired, Stage
from rainbow.executors.executor import Ending, JobPhase, Progress
from rainbow.specs import Work

GUIDE = Path(__file__).parent.parent / "docs" / "development.md"
AT = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)
WORK = Work(command="echo é", nodes=2, tasks=4, time_limit_seconds=60, environment={"A": "1"}, working_directory="/tmp")

# As rainbow 0.1.0 wrote it: a job at each step.
EARLIER_JOURNAL = """
PRAGMA user_version = 2;
CREATE TABLE job (
    key TEXT PRIMARY KEY,
    jobid INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    step INTEGER NOT NULL CHECK (step BETWEEN 1 AND 6),
    work TEXT NOT NULL,
    native_id TEXT NOT NULL DEFAULT '',
    progress TEXT NOT NULL DEFAULT '',
    changed_at TEXT NOT NULL,
    UNIQUE (jobid, attempt)
) STRICT;
INSERT INTO job VALUES('rainbow-1-2',1,2,1,'{work}','','','2026-11-27T12:00:00+00:00');
INSERT INTO job VALUES('rainbow-2-2',2,2,2,'{work}','','','2026-11-27T12:00:00+00:00');
INSERT INTO job VALUES('rainbow-3-2',3,2,3,'{work}','4703','','2026-11-27T12:00:00+00:00');
INSERT INTO job VALUES('rainbow-4-2',4,2,4,'{work}','4704','{"phase": "running", "reason": "",
 "started_at": 1795780800.0, "ended_at": null, "ending": null, "exit_code": null, "signal": null}',
'2026-11-27T12:00:00+00:00');
INSERT INTO job VALUES('rainbow-5-2',5,2,5,'{work}','4705','{"phase": "ended", "reason": "ended with exit code 7",
 "started_at": 1795780800.0, "ended_at": 1795780800.0, "ending": "exited", "exit_code": 7, "signal": null}',
'2026-11-27T12:00:00+00:00');
INSERT INTO job VALUES('rainbow-6-2',6,2,6,'{work}','4706','{"phase": "ended", "reason": "ended with exit code 7",
 "started_at": 1795780800.0, "ended_at": 1795780800.0, "ending": "exited", "exit_code": 7, "signal": null}',
'2026-11-27T12:00:00+00:00');
CREATE INDEX unreported ON job (jobid, attempt) WHERE step < 6;
""".replace(
    "{work}",
    '{"command": "echo \\u00e9", "nodes": 2, "tasks": 4, "time_limit_seconds": 60, "environment": {"A": "1"},'
    ' "working_directory": "/tmp"}',
)


def held_in(journal: Journal) -> HeldJobs:
    return HeldJobs(journal, clock=lambda: AT, checkpoint=ignore_checkpoint)


def only(jobs: HeldJobs) -> HeldJob:
    (held,) = jobs
    return held


def test_an_agent_takes_over_the_journal_of_an_earlier_version(tmp_path: Path) -> None:
    database = sqlite3.connect(tmp_path / "journal.db")
    database.executescript(EARLIER_JOURNAL)
    database.close()

    with Journal(tmp_path) as journal:
        held = {job.entry.jobid: job for job in held_in(journal)}

    assert {jobid: job.stage for jobid, job in held.items()} == {
        1: Stage.ACCEPTED,
        2: Stage.IN_DOUBT,
        3: Stage.SUBMITTED,
        4: Stage.RUNNING,
        5: Stage.ENDED,
    }
    assert all(job.entry.work == WORK and job.entry.attempt == 2 for job in held.values())
    assert [held[jobid].entry.native_id for jobid in held] == ["", "", "4703", "4704", "4705"]
    assert held[4].entry.progress == Progress(phase=JobPhase.RUNNING, started_at=AT)
    assert held[5].entry.progress == Progress(
        phase=JobPhase.ENDED,
        reason="ended with exit code 7",
        ending=Ending.EXITED,
        exit_code=7,
        started_at=AT,
        ended_at=AT,
    )


def test_each_stage_but_two_outlives_the_agent() -> None:
    forgotten = {stage: AFTER_A_RESTART[STEPS[stage]] for stage in Stage if AFTER_A_RESTART[STEPS[stage]] is not stage}

    assert forgotten == {Stage.PREPARED: Stage.IN_DOUBT, Stage.ANNOUNCED: Stage.IN_DOUBT}


def test_a_move_that_no_job_makes_changes_nothing(tmp_path: Path) -> None:
    with Journal(tmp_path / "state") as journal:
        jobs = held_in(journal)
        jobs.accepted([Entry(jobid=1, attempt=1, work=WORK)], renewed_at=AT)

        with pytest.raises(ValueError, match="a job that is accepted cannot become submitted"):
            jobs.submitted(only(jobs), "4711")

        assert only(jobs).stage is Stage.ACCEPTED
        assert [entry.step for entry in journal.unreported()] == [Step.ACCEPTED]


def test_an_ended_job_stays_as_it_ended(tmp_path: Path) -> None:
    first = Progress(phase=JobPhase.ENDED, ending=Ending.EXITED, exit_code=0)
    with Journal(tmp_path / "state") as journal:
        jobs = held_in(journal)
        jobs.accepted([Entry(jobid=1, attempt=1, work=WORK)], renewed_at=AT)
        jobs.ended(only(jobs), first)

        with pytest.raises(ValueError, match="a job that is ended cannot become ended"):
            jobs.ended(only(jobs), Progress(phase=JobPhase.ENDED, ending=Ending.CANCELLED))

        assert only(jobs).entry.progress == first


def test_a_job_that_is_abandoned_is_not_wanted_again() -> None:
    held = HeldJob(entry=Entry(jobid=1, attempt=1, work=WORK), stage=Stage.RUNNING)

    held.to_be_abandoned()
    held.to_be_cancelled()

    assert held.desired is Desired.ABANDON
    assert not held.is_done, "the scheduler still has it"


def test_the_guide_draws_the_moves_that_there_are() -> None:
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \| ([^|]*) \|$", GUIDE.read_text(), re.MULTILINE)
    drawn = {name: set(re.findall(r"`([A-Z_]+)`", ways)) for name, ways in rows if name in Stage.__members__}

    assert drawn == {stage.name: {after.name for after in afters} for stage, afters in MOVES.items()}


def test_what_was_noted_by_a_clock_that_was_ahead_is_taken_for_new(tmp_path: Path) -> None:
    ahead = AT + timedelta(hours=1)
    with Journal(tmp_path) as journal:
        journal.accepted([Entry(jobid=jobid, attempt=1, work=WORK) for jobid in (1, 2)], now=ahead)
        journal.reported(["rainbow-1-1"], now=ahead)

        jobs = held_in(journal)

        assert [done.at for done in jobs.done] == [AT]
        assert only(jobs).accepted_at == AT
