"""The local executor, with real processes."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rainbow.executors.executor import Ending, Executor, JobPhase, SchedulerSilent, Site, Ticket, WorkRefused
from rainbow.executors.folders import MAX_OUTPUT_BYTES
from rainbow.executors.table import EXECUTORS
from rainbow.specs import Work
from tests.support.executors import hand_over, lines_of, progress, wait_for, wait_until

ROOT = Path(__file__).parent.parent


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """The site of an agent that has credentials of its own in its environment."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "RAINBOW_SECRET": "the agent's own"}
    return Site(folder=tmp_path / "agent's état", environment=environment, slots=4)


@pytest.fixture
def local(site: Site) -> Iterator[Executor]:
    executor = EXECUTORS["local"].make(site)
    yield executor
    jobs = site.folder / "jobs"
    for key in [folder.name for folder in jobs.iterdir()] if jobs.exists() else []:
        executor.cancel([Ticket(key=key, native_id="")])
        wait_for(executor, Ticket(key=key, native_id=""), JobPhase.ENDED, JobPhase.GONE)


def successor(site: Site) -> Executor:
    """The executor of an agent that was started anew."""
    return EXECUTORS["local"].make(site)


def test_nothing_of_the_agent_reaches_a_job(local: Executor, tmp_path: Path) -> None:
    ticket = hand_over(local, "rainbow-2-1", "pwd; env | cut -d= -f1; ls /proc/self/fd", environment={"MINE": "1"})
    wait_for(local, ticket, JobPhase.ENDED)

    directory, *words = local.output(ticket).split()

    names = {word for word in words if not word.isdigit()}
    assert directory == str(tmp_path), "without a working directory a job starts at home"
    assert {"MINE", "PATH", "HOME", "USER", "SHELL"} <= names
    assert names <= {
        "MINE",
        "PATH",
        "HOME",
        "USER",
        "LOGNAME",
        "SHELL",
        "LANG",
        "TMPDIR",
        "PWD",
        "OLDPWD",
        "SHLVL",
        "_",
    }
    assert {word for word in words if word.isdigit()} <= {"0", "1", "2", "3"}, "descriptor 3 is that of ls"


@pytest.mark.parametrize("code", [137, 255])
def test_an_exit_code_is_told(local: Executor, code: int) -> None:
    ticket = hand_over(local, "rainbow-3-1", f"exit {code}")

    seen = wait_for(local, ticket, JobPhase.ENDED)

    assert (seen.ending, seen.exit_code, seen.signal) == (Ending.EXITED, code, None)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE])
def test_a_signal_is_told(local: Executor, number: signal.Signals) -> None:
    ticket = hand_over(local, "rainbow-4-1", f"kill -{number.value} $$")

    seen = wait_for(local, ticket, JobPhase.ENDED)

    assert (seen.ending, seen.exit_code, seen.signal) == (Ending.SIGNALLED, None, number)


def test_a_time_limit_ends_the_job(local: Executor) -> None:
    ticket = hand_over(local, "rainbow-5-1", "trap 'echo saved; exit 0' TERM; sleep 300 & wait", time_limit_seconds=5)

    seen = wait_for(local, ticket, JobPhase.ENDED)

    assert (seen.ending, seen.exit_code) == (Ending.TIMED_OUT, None)
    assert local.output(ticket) == "saved\n"


def test_a_job_that_does_not_listen_is_killed(local: Executor) -> None:
    ticket = hand_over(local, "rainbow-6-1", "trap '' TERM; while :; do sleep 0.2; done", time_limit_seconds=5)

    seen = wait_for(local, ticket, JobPhase.ENDED)

    assert seen.ending == Ending.TIMED_OUT
    assert seen.started_at and seen.ended_at and (seen.ended_at - seen.started_at).total_seconds() > 9


def test_a_running_job_is_cancelled_with_all_its_processes(local: Executor, tmp_path: Path) -> None:
    ticket = hand_over(local, "rainbow-7-1", f"sleep 300 & echo $! > {tmp_path}/pid; wait")
    wait_until(lambda: lines_of(tmp_path / "pid"))

    local.cancel([ticket])
    seen = wait_for(local, ticket, JobPhase.ENDED)

    assert (seen.ending, seen.exit_code, seen.reason) == (Ending.CANCELLED, None, "cancelled")
    wait_until(lambda: not _lives(int(lines_of(tmp_path / "pid")[0])))
    local.cancel([ticket])  # once more does no harm


def test_what_a_job_leaves_behind_ends_with_it(local: Executor, tmp_path: Path) -> None:
    ticket = hand_over(local, "rainbow-9-1", f"sleep 300 & echo $! > {tmp_path}/pid")

    seen = wait_for(local, ticket, JobPhase.ENDED)

    assert seen.exit_code == 0
    wait_until(lambda: not _lives(int(lines_of(tmp_path / "pid")[0])))


def test_a_job_outlives_the_agent(local: Executor, site: Site, tmp_path: Path) -> None:
    program = f"""
import os, signal
from pathlib import Path
from rainbow.executors.executor import Site
from rainbow.specs import Work
from rainbow.executors.table import EXECUTORS
site = Site(folder=Path({str(site.folder)!r}), environment={dict(site.environment)!r}, slots=4)
work = Work(command="until [ -e {tmp_path}/go ]; do sleep 0.05; done; exit 6")
EXECUTORS["local"].make(site).submit(work, "rainbow-10-1")
os.kill(os.getpid(), signal.SIGKILL)
"""
    killed = subprocess.run([sys.executable, "-c", program], cwd=ROOT)

    found = local.find(["rainbow-10-1", "rainbow-11-1"])
    ticket = Ticket(key="rainbow-10-1", native_id=found["rainbow-10-1"])
    running = wait_for(local, ticket, JobPhase.RUNNING)
    (tmp_path / "go").touch()

    assert killed.returncode == -signal.SIGKILL
    assert list(found) == ["rainbow-10-1"]
    assert running.started_at
    assert wait_for(local, ticket, JobPhase.ENDED).exit_code == 6


def test_a_job_that_was_handed_over_twice_runs_once(local: Executor, site: Site, tmp_path: Path) -> None:
    first = hand_over(local, "rainbow-12-1", f"echo ran >> {tmp_path}/ran; sleep 0.3")

    running = hand_over(successor(site), "rainbow-12-1", f"echo ran >> {tmp_path}/ran")
    wait_for(local, first, JobPhase.ENDED)
    ended = hand_over(successor(site), "rainbow-12-1", f"echo ran >> {tmp_path}/ran")

    assert first == running == ended
    assert lines_of(tmp_path / "ran") == ["ran"]


def test_slots_are_nodes_times_tasks(local: Executor, site: Site) -> None:
    assert local.capacity().slots == 4

    ticket = hand_over(local, "rainbow-13-1", "sleep 300", nodes=2)

    assert local.capacity().slots == successor(site).capacity().slots == 2
    with pytest.raises(SchedulerSilent, match="slots are free"):
        local.submit(Work(command="true", nodes=3), "rainbow-14-1")
    with pytest.raises(WorkRefused, match="needs 6 slots, and this machine has 4"):
        local.submit(Work(command="true", nodes=2, tasks=3), "rainbow-15-1")
    assert local.find(["rainbow-14-1", "rainbow-15-1"]) == {}
    local.cancel([ticket])
    wait_for(local, ticket, JobPhase.ENDED)
    assert local.capacity().slots == 4


def test_a_missing_directory_is_refused(local: Executor) -> None:
    with pytest.raises(WorkRefused, match="there is no directory /no/such"):
        local.submit(Work(command="true", working_directory="/no/such"), "rainbow-16-1")


def test_a_job_whose_runner_was_killed_is_gone(local: Executor) -> None:
    ticket = hand_over(local, "rainbow-17-1", "sleep 300")
    wait_for(local, ticket, JobPhase.RUNNING)

    os.kill(int(ticket.native_id), signal.SIGKILL)
    seen = wait_for(local, ticket, JobPhase.GONE)

    assert seen.started_at
    assert "killed" in seen.reason


def test_the_number_of_another_process_is_not_taken_for_the_runner(local: Executor, site: Site) -> None:
    with subprocess.Popen(["sleep", "300"]) as stranger:
        folder = site.folder / "notes" / "rainbow-18-1"
        folder.mkdir(parents=True)
        (folder / "started").write_text(f"{stranger.pid} 1795374601\n")
        ticket = Ticket(key="rainbow-18-1", native_id=str(stranger.pid))

        seen = progress(local, ticket)
        local.cancel([ticket])

        assert seen.phase == JobPhase.GONE
        assert stranger.poll() is None
        stranger.kill()


def test_the_tail_of_any_output_is_text(local: Executor) -> None:
    command = "i=0; while [ $i -lt 7000 ]; do echo éééééé; i=$((i+1)); done; printf 'a\\0b\\377c'"
    ticket = hand_over(local, "rainbow-19-1", command)
    wait_for(local, ticket, JobPhase.ENDED)

    text = local.output(ticket)

    assert MAX_OUTPUT_BYTES - 4 <= len(text.encode()) <= MAX_OUTPUT_BYTES
    assert text.endswith("éééééé\na\ufffdb\ufffdc")
    assert set(text) == set("é\nabc\ufffd")


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
