"""How the batch script of a job on Slurm ends, whatever status its command exits with."""

import os
import subprocess
from pathlib import Path
from signal import Signals

import pytest

from rainbow.executors.executor import Site
from rainbow.executors.folders import JobFolder, folder_of
from rainbow.executors.slurm_script import script
from rainbow.specs import Work
from tests.support.patience import PATIENCE_SECONDS

STOPPING = {Signals.SIGSTOP, Signals.SIGTSTP, Signals.SIGTTIN, Signals.SIGTTOU}
IGNORED = {Signals.SIGCHLD, Signals.SIGCONT, Signals.SIGURG, Signals.SIGWINCH}


@pytest.fixture
def folder(tmp_path: Path) -> JobFolder:
    made = folder_of(tmp_path, "rainbow-1-1")
    made.make()
    return made


def status_of(command: str, folder: JobFolder) -> int:
    """Of the script, in a group of its own, which a shell can stop; negative for a signal."""
    text = script(Work(command=command), folder, Site(folder=folder.state, environment={"HOME": "/"}))
    folder.started.unlink(missing_ok=True)
    environment = {"PATH": os.environ["PATH"], "SLURM_JOB_ID": "7"}
    ran = subprocess.run(
        ["sh", "-c", text],
        env=environment,
        cwd="/",
        process_group=0,
        timeout=PATIENCE_SECONDS,
        stderr=subprocess.DEVNULL,
    )
    return ran.returncode


def test_a_script_ends_as_its_command_did_and_notes_it(folder: JobFolder) -> None:
    noted = {}
    for status in (0, 1, 7, 128, *range(129, 193), 255):
        ended = status_of(f"exit {status}", folder)
        noted[status] = folder.job.words("ended")[0]
        assert ended in (status, 128 - status), status

    assert noted == {status: str(status) for status in noted}


@pytest.mark.parametrize("signal", sorted(STOPPING | IGNORED))
def test_a_signal_that_ends_no_process_becomes_an_exit_status(folder: JobFolder, signal: Signals) -> None:
    assert status_of(f"exit {128 + signal}", folder) == 128 + signal


def test_a_command_that_is_killed_takes_its_script_along(folder: JobFolder) -> None:
    assert status_of("kill -s KILL $$", folder) == -Signals.SIGKILL
