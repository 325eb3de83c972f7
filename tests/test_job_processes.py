"""The processes that a local job starts: none outlives it, whatever it does to be left alone."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from rainbow.executors.executor import Ending, Executor, JobPhase, Site, Ticket
from rainbow.executors.table import EXECUTORS
from tests.support.executors import hand_over, lines_of, wait_for, wait_until

KEY = "rainbow-1-1"

# Each leaves a process behind that notes its number, and that no signal to the job's group reaches.
ESCAPES = {
    "a new session": "setsid sh -c 'echo $$ >> {pids}; exec sleep 300' &",
    "an orphan in a new session": "(setsid sh -c 'echo $$ >> {pids}; exec sleep 300' &);",
    "a daemon that ignores what asks it to end": (
        '(setsid sh -c \'trap "" TERM HUP INT; sh -c "echo \\$\\$ >> {pids}; exec sleep 300" & exit\' &);'
    ),
    "a session in a session in a session": "setsid setsid sh -c 'setsid sh -c \"echo \\$\\$ >> {pids}; sleep 300\"' &",
    "a group of its own": "set -m; sh -c 'echo $$ >> {pids}; exec sleep 300' & set +m;",
}
escapes = pytest.mark.parametrize("escape", ESCAPES.values(), ids=list(ESCAPES))


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Executor]:
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    executor = EXECUTORS["local"].make(Site(folder=tmp_path / "state", environment=environment, slots=4))
    yield executor
    ticket = Ticket(key=KEY, native_id="")
    executor.cancel([ticket])
    wait_for(executor, ticket, JobPhase.ENDED, JobPhase.GONE)


@pytest.fixture
def pids(tmp_path: Path) -> Iterator[Path]:
    """Where the processes of a job note their numbers. What a test that failed left alive is killed."""
    file = tmp_path / "pids"
    yield file
    for pid in alive(file):
        os.kill(pid, signal.SIGKILL)


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] != b"Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def alive(pids: Path) -> list[int]:
    return [int(line) for line in lines_of(pids) if lives(int(line))]


def run(local: Executor, escape: str, pids: Path, rest: str, **more: object) -> Ticket:
    """A job that lets a process escape and then goes on."""
    until_noted = f"until [ -s {pids} ]; do sleep 0.02; done; "
    return hand_over(local, KEY, f"{escape.format(pids=pids)} {until_noted}{rest}", **more)


@escapes
def test_what_escaped_ends_with_the_job(local: Executor, pids: Path, escape: str) -> None:
    ticket = run(local, escape, pids, "exit 3")

    seen = wait_for(local, ticket, JobPhase.ENDED)

    assert (seen.exit_code, seen.reason) == (3, "ended with exit code 3")
    assert lines_of(pids)
    assert not alive(pids)


@escapes
def test_what_escaped_ends_at_the_time_limit(local: Executor, pids: Path, escape: str) -> None:
    ticket = run(local, escape, pids, "sleep 300", time_limit_seconds=5)

    seen = wait_for(local, ticket, JobPhase.ENDED)

    assert seen.ending == Ending.TIMED_OUT
    assert lines_of(pids)
    assert not alive(pids)


@escapes
def test_what_escaped_ends_when_the_job_is_cancelled(local: Executor, pids: Path, escape: str) -> None:
    ticket = run(local, escape, pids, "sleep 300")
    wait_until(lambda: alive(pids))

    local.cancel([ticket])

    assert wait_for(local, ticket, JobPhase.ENDED).ending == Ending.CANCELLED
    assert not alive(pids)


def test_what_escaped_may_end_in_its_own_way_first(local: Executor, pids: Path, tmp_path: Path) -> None:
    saver = f"trap 'echo saved > {tmp_path}/saved; exit' TERM; echo $$ >> {pids}; while :; do sleep 0.1; done"
    (tmp_path / "saver").write_text(saver)
    ticket = run(local, f"setsid sh {tmp_path}/saver &", pids, "wait")
    wait_until(lambda: alive(pids))

    local.cancel([ticket])
    wait_for(local, ticket, JobPhase.ENDED)

    wait_until(lambda: lines_of(tmp_path / "saved") == ["saved"])


def test_a_job_that_starts_processes_all_the_time_comes_to_an_end(local: Executor, pids: Path, tmp_path: Path) -> None:
    (tmp_path / "breed").write_text(
        f'echo $$ >> {pids}; [ "$1" -gt 0 ] || exec sleep 300\n'
        f"for each in 1 2; do setsid sh {tmp_path}/breed $(($1 - 1)) & done; sleep 300\n"
    )
    ticket = hand_over(local, KEY, f"sh {tmp_path}/breed 6", time_limit_seconds=1)

    seen = wait_for(local, ticket, JobPhase.ENDED)

    assert (seen.ending, seen.reason) == (Ending.TIMED_OUT, "reached its time limit")
    assert not alive(pids)


def test_orphans_that_are_over_do_not_pile_up(local: Executor, pids: Path) -> None:
    orphans = f"for each in 1 2 3 4 5; do (sh -c 'echo $$ >> {pids}' &); done; sleep 300"
    ticket = hand_over(local, KEY, orphans)

    wait_until(lambda: len(lines_of(pids)) == 5)
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in lines_of(pids)))

    local.cancel([ticket])
    wait_for(local, ticket, JobPhase.ENDED)


def test_a_job_ends_with_its_runner(local: Executor, pids: Path) -> None:
    ticket = hand_over(local, KEY, f"echo $$ >> {pids}; exec sleep 300")
    wait_until(lambda: alive(pids))

    os.kill(int(ticket.native_id), signal.SIGKILL)

    wait_for(local, ticket, JobPhase.GONE)
    wait_until(lambda: not alive(pids))
