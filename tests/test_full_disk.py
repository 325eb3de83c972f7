"""A disk without space: jobs go on, are reported to their end, and no more are taken until there is space again."""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import NoReturn

import pytest

from rainbow.agent.journal import Entry, Journal, Step
from rainbow.client import Client
from rainbow.records import JobSpec, JobState, WaitingJob
from rainbow.specs import Work
from rainbow.system import disk_space
from rainbow.system.disk_space import DiskFull
from tests.support.agent_cast import SUCCESS, handed_over
from tests.support.agents import Crew, ScriptedExecutor, ended
from tests.support.commandline import MAIN, Run
from tests.support.executors import lines_of
from tests.support.patience import PATIENCE_SECONDS
from tests.support.servers import RainbowServer
from tests.support.wire import Remote, eventually

FULL = "disk full: the agent's journal cannot be written"


def fill(journal: Journal) -> None:
    """Its disk takes nothing from now on."""

    def refuse() -> NoReturn:
        raise DiskFull(FULL)

    journal._transaction = refuse  # type: ignore[method-assign]


def make_space(journal: Journal) -> None:
    del journal._transaction


def not_ready(crew: Crew) -> str:
    return crew.client.summarize_jobs().not_ready


def test_a_job_whose_end_cannot_be_noted_is_reported_all_the_same(scripted: Crew, scheduler: ScriptedExecutor) -> None:
    jobid, key = (handed := handed_over(scripted)), f"rainbow-{handed}-1"
    fill(scripted.journal)

    scheduler.progress[key] = ended(scripted.clock.now(), **SUCCESS)
    scripted.work(lambda: scripted.job(jobid).finished_at)

    assert scripted.job(jobid).state == JobState.COMPLETED
    assert [entry.step for entry in scripted.journal.unreported()] == [Step.SUBMITTED], "the disk took nothing"
    make_space(scripted.journal)
    scripted.work(lambda: not scripted.journal.unreported())


def test_nothing_is_taken_on_a_full_disk_and_all_is_said_and_taken_up_again(
    scripted: Crew, scheduler: ScriptedExecutor
) -> None:
    first = handed_over(scripted)
    fill(scripted.journal)
    scheduler.progress[f"rainbow-{first}-1"] = ended(scripted.clock.now(), **SUCCESS)
    scripted.work(lambda: scripted.job(first).finished_at and not_ready(scripted) == FULL)

    second = scripted.submit()
    scripted.work_for(0.5)
    assert scripted.job(second).state == JobState.QUEUED

    make_space(scripted.journal)
    scripted.work(lambda: f"rainbow-{second}-1" in scheduler.jobs and not_ready(scripted) == "")


def test_a_job_that_was_accepted_is_not_handed_over_on_a_full_disk(
    scripted: Crew, scheduler: ScriptedExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def take_then_fill(jobs: Sequence[WaitingJob]) -> None:
        accept(jobs)
        fill(scripted.journal)

    accept = scripted.agent._acceptor.accept
    monkeypatch.setattr(scripted.agent._acceptor, "accept", take_then_fill)
    jobid = scripted.submit()
    scripted.work(lambda: scripted.job(jobid).reason == FULL)
    assert (scripted.job(jobid).state, scheduler.handed_over) == (JobState.ACCEPTED, [])

    monkeypatch.undo()
    make_space(scripted.journal)
    scripted.work(lambda: scheduler.handed_over)


def test_an_agent_that_was_killed_while_its_disk_was_full_runs_no_job_twice(
    scripted: Crew, scheduler: ScriptedExecutor
) -> None:
    running, over = handed_over(scripted), handed_over(scripted)
    fill(scripted.journal)
    scheduler.progress[f"rainbow-{over}-1"] = ended(scripted.clock.now(), **SUCCESS)
    scripted.work(lambda: scripted.job(over).finished_at)

    scripted.restart()
    scheduler.progress[f"rainbow-{running}-1"] = ended(scripted.clock.now(), **SUCCESS)
    scripted.finish(running)

    assert sorted(scheduler.handed_over) == sorted(f"rainbow-{jobid}-1" for jobid in (running, over))
    assert scripted.job(over).state == JobState.COMPLETED


def test_a_job_whose_files_went_before_its_handover_could_be_noted_runs_once(
    scripted: Crew, scheduler: ScriptedExecutor
) -> None:
    """Neither journal nor scheduler know what became of it; the server does."""
    scheduler.before_each = lambda: fill(scripted.journal) if scheduler.calls[-1] == "submit" else None
    jobid = handed_over(scripted)
    scheduler.progress[f"rainbow-{jobid}-1"] = ended(scripted.clock.now(), **SUCCESS)
    scripted.work(lambda: scheduler.forgotten)
    assert [entry.step for entry in scripted.journal.unreported()] == [Step.SUBMITTING]

    scheduler.jobs.clear()
    scripted.restart()
    scripted.work(lambda: not scripted.journal.unreported())

    assert scheduler.handed_over == [f"rainbow-{jobid}-1"]
    assert scripted.job(jobid).state == JobState.COMPLETED


def test_little_space_keeps_jobs_away_and_forgets_early(
    scripted: Crew, scheduler: ScriptedExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = handed_over(scripted)
    scheduler.progress[f"rainbow-{first}-1"] = ended(scripted.clock.now(), **SUCCESS)
    scripted.finish(first)
    assert scheduler.forgotten == []

    monkeypatch.setattr(disk_space, "RESERVE_BYTES", 2**60)
    scripted.clock.move(61)
    scripted.work(lambda: scheduler.forgotten and not_ready(scripted).startswith("disk full: less than "))

    assert scheduler.forgotten == [f"rainbow-{first}-1"]


def test_a_job_that_finds_no_space_when_it_is_handed_over_is_handed_over_again(
    scripted: Crew, scheduler: ScriptedExecutor
) -> None:
    scheduler.mishaps["true"] = OSError(28, "No space left on device")
    jobid = scripted.submit()
    scripted.work(lambda: scripted.job(jobid).reason == "disk full")
    assert scripted.job(jobid).state == JobState.ACCEPTED

    scheduler.mishaps.clear()
    scripted.work(lambda: scripted.job(jobid).native_id == f"native-rainbow-{jobid}-1")


@contextmanager
def small_disk(place: Path) -> Iterator[Path]:
    """A file system of 32 MiB. Only root can make one."""
    place.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=32m,mode=700", "tmpfs", str(place)], capture_output=True, text=True
    )
    if made.returncode:
        pytest.skip(f"cannot mount a file system: {made.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


@pytest.fixture
def disk_of_its_own(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk") as place:
        yield place


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """What the agents of a test write: in a pipe that is not read they would block once it is full."""
    return tmp_path / "log"


@pytest.fixture
def start(rainbow: Run, disk_of_its_own: Path, log: Path) -> Iterator[Callable[[], subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []

    def start() -> subprocess.Popen[str]:
        words = ["agent", "--executor", "local", "--slots", "4", "--state-dir", str(disk_of_its_own / "state")]
        with log.open("a") as output:
            started.append(subprocess.Popen([*MAIN, *words], stderr=output, text=True, env=dict(os.environ)))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def occupy(disk_of_its_own: Path) -> Path:
    """All of the space that is left."""
    filler = disk_of_its_own / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError as error:
            assert disk_space.is_full(error)
    return filler


def test_on_a_disk_that_gets_full_jobs_come_to_their_end_and_the_agent_starts_again(
    start: Callable[[], subprocess.Popen[str]], server: RainbowServer, remote: Remote, disk_of_its_own: Path,
    tmp_path: Path,
) -> None:  # fmt: skip
    with Client(server.address, cluster=remote.name, token=remote.token) as client:

        def state(jobid: int) -> JobState:
            return client.get_jobs([jobid]).jobs[0].state

        command = (
            f"echo ran >> {tmp_path}/ran{{0}}; until [ -e {tmp_path}/go{{0}} ]; do sleep 0.1; done; echo over; exit 3"
        )
        first, second = (client.submit_job(JobSpec(command=command.format(n))).jobid for n in (1, 2))
        agent = start()
        eventually(lambda: state(first) == state(second) == JobState.RUNNING)

        filler = occupy(disk_of_its_own)
        (tmp_path / "go1").touch()
        eventually(lambda: client.get_jobs([first]).jobs[0].finished_at)
        eventually(lambda: client.summarize_jobs().not_ready.startswith("disk full: "))
        waiting = client.submit_job(JobSpec(command="true")).jobid

        agent.send_signal(signal.SIGKILL)
        agent.wait()
        again = start()
        (tmp_path / "go2").touch()
        eventually(lambda: client.get_jobs([second]).jobs[0].finished_at)
        assert state(waiting) == JobState.QUEUED
        assert again.poll() is None

        filler.unlink()
        eventually(lambda: state(waiting) == JobState.COMPLETED)
        assert [client.get_jobs([jobid]).jobs[0].exit_code for jobid in (first, second)] == [3, 3]
        assert lines_of(tmp_path / "ran1") == lines_of(tmp_path / "ran2") == ["ran"]
        again.send_signal(signal.SIGTERM)
        assert again.wait(PATIENCE_SECONDS) == 0


def test_a_job_that_fills_the_disk_runs_on_and_its_output_says_what_is_missing(
    start: Callable[[], subprocess.Popen[str]], server: RainbowServer, remote: Remote, disk_of_its_own: Path
) -> None:
    with Client(server.address, cluster=remote.name, token=remote.token) as client:
        agent = start()
        evil = client.submit_job(JobSpec(command="yes | head -c 100000000; echo; echo the end; exit 3")).jobid
        eventually(lambda: client.get_jobs([evil]).jobs[0].finished_at)
        good = client.submit_job(JobSpec(command="echo good")).jobid
        eventually(lambda: client.get_jobs([good]).jobs[0].finished_at)

        job, other = client.get_jobs([evil, good]).jobs

        assert (job.state, job.exit_code) == (JobState.FAILED, 3)
        assert "rainbow: output is missing here: there was no space left for it" in job.output
        assert job.output.endswith("\nthe end\n")
        assert (other.state, other.output) == (JobState.COMPLETED, "good\n")
        agent.send_signal(signal.SIGTERM)
        assert agent.wait(PATIENCE_SECONDS) == 0


def test_a_journal_is_opened_and_read_on_a_full_disk_and_says_what_it_cannot_take(
    disk_of_its_own: Path, now: datetime
) -> None:
    entries = [Entry(jobid=number, attempt=1, work=Work(command="x" * 60_000)) for number in range(1, 1001)]
    with Journal(disk_of_its_own) as journal:
        journal.accepted(entries[:1], now=now)
    filler = occupy(disk_of_its_own)

    with Journal(disk_of_its_own) as journal:
        with pytest.raises(DiskFull, match="disk full: "):
            journal.accepted(entries, now=now)
        assert journal.unreported() == entries[:1]
        filler.unlink()
        journal.accepted(entries[:20], now=now)

        assert journal.unreported() == entries[:20]


def test_an_agent_that_finds_no_space_for_a_new_folder_says_so_in_one_line(
    start: Callable[[], subprocess.Popen[str]], disk_of_its_own: Path, log: Path
) -> None:
    occupy(disk_of_its_own)

    assert start().wait(PATIENCE_SECONDS) == 5

    assert "Traceback" not in log.read_text()
    assert "disk full" in log.read_text()
