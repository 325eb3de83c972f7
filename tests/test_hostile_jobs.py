"""Hostile specifications through the real scripts: whatever they hold, the command runs and nothing else does."""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from rainbow.executors.executor import Access, Executor, JobPhase, Site, Ticket
from rainbow.executors.flux import FluxExecutor
from rainbow.executors.flux_command import FluxCommand
from rainbow.executors.folders import folder_of
from rainbow.executors.local import LocalExecutor
from rainbow.executors.slurm_script import script
from rainbow.specs import Work, check_work
from tests.support.executors import wait_for
from tests.support.flux_instance import make_fake
from tests.support.hostile import MARK, nasty_command, nasty_environment, nasty_folder
from tests.support.patience import PATIENCE_SECONDS

SHELLS = {"dash": ["dash", "-s"], "bash as sh": ["bash", "--posix", "-s"], "bash": ["bash", "-s"]}
# Shells set these themselves, whoever asked for what.
OF_SHELLS = {"PWD", "OLDPWD", "SHLVL", "_", "IFS", "PS4"}
numbers = count(1)

# The program of these jobs: notes what it was given.
RECORDER = """#!{python} -ISXutf8
import json, os, sys
with open({note!r}, "a") as file:
    environment = {{os.fsdecode(name): os.fsdecode(value) for name, value in os.environb.items()}}
    file.write(json.dumps([sys.argv[1:], environment, os.getcwd()]) + "\\n")
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with the recorder; a trick that works leaves its mark somewhere in it, or where the tests run."""
    program = tmp_path / "recorder"
    program.write_text(RECORDER.format(python=sys.executable, note=str(tmp_path / "note")))
    program.chmod(0o700)
    return tmp_path


def hostile(one_in: int) -> Callable[..., Any]:
    """Give a test `text`, `environment` and `name`, as nasty as the protocol allows."""

    def decorate(test: Callable[..., None]) -> Any:
        lenient = settings(
            suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
            max_examples=settings().max_examples // one_in,
        )
        return lenient(given(text=nasty_command, environment=nasty_environment, name=nasty_folder)(test))

    return decorate


@contextmanager
def alone(place: Path, text: str, environment: dict[str, str], name: str) -> Iterator[Work]:
    """Work whose program is to be run once, as it was asked for, and after which no trick has left its mark."""
    directory, note = place / name, place / "note"
    directory.mkdir(exist_ok=True)
    note.unlink(missing_ok=True)
    command = f"{shlex.quote(str(place / 'recorder'))} {shlex.quote(text)}"
    work = Work(command=command, environment=environment, working_directory=str(directory))
    check_work(work)

    yield work

    ((arguments, found, where),) = [json.loads(line) for line in note.read_text().splitlines()]
    asked = {name: value for name, value in environment.items() if name not in OF_SHELLS}
    assert arguments == [text]
    assert {name: found.get(name) for name in asked} == asked
    assert where == str(directory)
    assert not [*place.rglob(MARK), *Path().glob(MARK)]


@pytest.mark.parametrize("shell", SHELLS.values(), ids=SHELLS)
@hostile(one_in=2)
def test_slurms_script_runs_the_command_alone(
    place: Path, shell: list[str], text: str, environment: dict[str, str], name: str
) -> None:
    folder = folder_of(place / f"the agent's $(touch {MARK})", f"rainbow-{next(numbers)}-1")
    folder.make()
    with alone(place, text, environment, name) as work:
        subprocess.run(
            shell,
            input=script(work, folder, Site(folder=folder.state, environment={"HOME": "/"})).encode(),
            env={"PATH": os.environ["PATH"], "SLURM_JOB_ID": "7"},
            cwd=folder.path,
            timeout=PATIENCE_SECONDS,
            check=True,
        )


@hostile(one_in=4)
def test_flux_runs_the_command_alone(place: Path, text: str, environment: dict[str, str], name: str) -> None:
    commands, instance = place / "bin", place / "instance"
    if not commands.exists():
        commands.mkdir()
        instance.mkdir()
        make_fake(commands)
    agent = {"PATH": f"{commands}:{os.environ['PATH']}", "FLUX_URI": str(instance)}
    site = Site(folder=place / f"the agent's $(touch {MARK})", environment=agent)
    with alone(place, text, environment, name) as work:
        run_to_its_end(FluxExecutor(site, FluxCommand(site), access=Access(description="by command")), work)


@hostile(one_in=4)
def test_the_local_runner_runs_the_command_alone(
    place: Path, text: str, environment: dict[str, str], name: str
) -> None:
    site = Site(folder=place / f"the agent's $(touch {MARK})", environment=dict(os.environ))
    with alone(place, text, environment, name) as work:
        run_to_its_end(LocalExecutor(site), work)


def run_to_its_end(executor: Executor, work: Work) -> None:
    key = f"rainbow-{next(numbers)}-1"
    ticket = Ticket(key=key, native_id=executor.submit(work, key))
    ended = wait_for(executor, ticket, JobPhase.ENDED, seconds=PATIENCE_SECONDS)
    assert ended.exit_code == 0, executor.output(ticket)
