"""What a job of Slurm can make of the words that its script leaves: nothing but its own affair."""

import json
from pathlib import Path

import pytest

from rainbow.executors.executor import Ending, JobPhase, Site, Ticket
from rainbow.executors.folders import JobFolder, folder_of
from rainbow.executors.slurm import SlurmExecutor
from tests.support.replaced import FOREIGN, GARBAGE, TRICKS, Trick, put

KEY = "rainbow-1-1"
TICKET = Ticket(key=KEY, native_id="7")


class Slurm:
    """Slurm's commands, played by scripts. `cancelled` is what scancel was told."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.state = folder / "state"
        site = Site(folder=self.state, environment={"PATH": f"{folder}:/usr/bin:/bin", "HOME": "/"})
        self.executor = SlurmExecutor(site, pause=lambda seconds: None)
        self.knows()
        self._play("sacct", "echo 'Slurm accounting storage is disabled' >&2; exit 1")
        self._play("scancel", f"printf '%s\\n' \"$@\" > {folder}/cancelled")

    def knows(self, **jobs: str) -> None:
        """The jobs of its queue: their states by number and key, as in `j7_rainbow_1_1="RUNNING"`."""
        known = [self._job(name, state) for name, state in jobs.items()]
        self._play("squeue", f"echo '{json.dumps({'jobs': known, 'errors': []})}'")

    @property
    def cancelled(self) -> list[str]:
        return (self._folder / "cancelled").read_text().splitlines()

    def _job(self, name: str, state: str) -> dict[str, object]:
        number, _, key = name.removeprefix("j").partition("_")
        key = key.replace("_", "-")
        times = {"start_time": 1795374601, "end_time": 1795374602, "exit_code": 0}
        place = {"current_working_directory": str(self.state / "jobs" / key), "nodes": "n0", "state_reason": "None"}
        return {"job_id": int(number), "name": key, "job_state": state, **times, **place}

    def _play(self, name: str, script: str) -> None:
        (self._folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (self._folder / name).chmod(0o700)


@pytest.fixture
def slurm(tmp_path: Path) -> Slurm:
    return Slurm(tmp_path)


@pytest.fixture
def folder(slurm: Slurm) -> JobFolder:
    made = folder_of(slurm.state, KEY)
    made.make()
    return made


def seen(slurm: Slurm) -> JobPhase:
    return slurm.executor.watch([TICKET])[KEY].phase


@pytest.mark.parametrize("content", GARBAGE)
def test_words_without_sense_are_no_words(slurm: Slurm, folder: JobFolder, content: bytes) -> None:
    folder.started.write_bytes(content)
    folder.ended.write_bytes(content)

    assert slurm.executor.find([KEY]) == {}
    assert seen(slurm) == JobPhase.GONE
    slurm.executor.cancel([TICKET])
    assert slurm.cancelled == ["7"]


@pytest.mark.parametrize("trick", TRICKS)
def test_what_stands_in_place_of_the_words_is_not_read(
    slurm: Slurm, folder: JobFolder, tmp_path: Path, trick: Trick
) -> None:
    foreign = tmp_path / "foreign"
    foreign.write_text("8 1795374601 0\n")
    for place in (folder.started, folder.ended):
        put(trick, place, foreign)

    assert slurm.executor.find([KEY]) == {}
    assert seen(slurm) == JobPhase.GONE
    slurm.executor.cancel([TICKET])
    assert slurm.cancelled == ["7"]


def test_nobody_makes_the_job_of_another_their_own(slurm: Slurm, folder: JobFolder) -> None:
    slurm.knows(j7_rainbow_1_1="RUNNING", j8_rainbow_2_1="COMPLETED")
    folder.started.write_text("8 1795374601 0\n")

    assert seen(slurm) == JobPhase.RUNNING
    assert slurm.executor.find([KEY]) == {KEY: "7"}


def test_a_job_that_runs_is_not_over_because_it_says_so(slurm: Slurm, folder: JobFolder) -> None:
    slurm.knows(j7_rainbow_1_1="RUNNING")
    folder.started.write_text("4000000 1795374601 0\n")
    folder.ended.write_text("0 1795374602\n")

    assert seen(slurm) == JobPhase.RUNNING


def test_of_two_jobs_of_one_name_the_one_that_runs_counts(slurm: Slurm, folder: JobFolder) -> None:
    slurm.knows(j6_rainbow_1_1="RUNNING", j7_rainbow_1_1="FAILED")
    folder.started.write_text("6 1795374601 0\n")

    assert seen(slurm) == JobPhase.RUNNING
    assert slurm.executor.find([KEY]) == {KEY: "6"}


def test_of_two_jobs_of_one_name_the_one_that_ran_counts_when_slurm_has_forgotten_it(
    slurm: Slurm, folder: JobFolder
) -> None:
    slurm.knows(j7_rainbow_1_1="FAILED")
    folder.started.write_text("6 1795374601 0\n")
    folder.ended.write_text("5 1795374602\n")

    progress = slurm.executor.watch([TICKET])[KEY]

    assert (progress.ending, progress.exit_code) == (Ending.EXITED, 5)


def test_a_claim_on_another_job_does_not_have_it_cancelled(slurm: Slurm, folder: JobFolder) -> None:
    slurm.knows(j7_rainbow_1_1="RUNNING", j8_rainbow_2_1="RUNNING")
    folder.started.write_text("8 1795374601 0\n")

    slurm.executor.cancel([TICKET])

    assert slurm.cancelled == ["7"]


def test_of_two_jobs_of_one_name_both_are_cancelled(slurm: Slurm, folder: JobFolder) -> None:
    slurm.knows(j6_rainbow_1_1="RUNNING", j7_rainbow_1_1="PENDING")
    folder.started.write_text("6 1795374601 0\n")

    slurm.executor.cancel([TICKET])

    assert slurm.cancelled == ["6", "7"]


def test_a_folder_that_is_a_link_keeps_no_other_job_from_being_cancelled(
    slurm: Slurm, folder: JobFolder, tmp_path: Path
) -> None:
    folder.path.rmdir()
    folder.path.symlink_to(tmp_path)

    slurm.executor.cancel([TICKET, Ticket(key="rainbow-2-1", native_id="8")])

    assert slurm.cancelled == ["7", "8"]


def test_a_cancel_is_noted_where_the_job_is_not_told_of_it(slurm: Slurm, folder: JobFolder, tmp_path: Path) -> None:
    (tmp_path / "foreign").write_text(FOREIGN)
    (folder.path / "cancelled").symlink_to(tmp_path / "foreign")
    folder.started.write_text("7 1795374601 0\n")
    folder.ended.write_text("143 1795374602\n")

    slurm.executor.cancel([TICKET])

    assert slurm.executor.watch([TICKET])[KEY].ending == Ending.CANCELLED
    assert (tmp_path / "foreign").read_text() == FOREIGN
