"""What wakes an agent of this machine, and the server that forks the runners of its jobs."""

import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from rainbow.executors import local as local_executor
from rainbow.executors import runner_server
from rainbow.executors.executor import Executor, JobPhase, NoRoom, SchedulerSilent, Site, Ticket
from rainbow.executors.runner_server import NO_KEY, PROGRAM
from rainbow.executors.table import EXECUTORS
from tests.support.executors import hand_over, lines_of, progress, until_there, wait_for, wait_until
from tests.support.patience import PATIENCE_SECONDS
from tests.support.processes import descendants


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(folder=tmp_path / "state", environment=dict(os.environ), slots=4)


def local(site: Site) -> Executor:
    return EXECUTORS["local"].make(site)


def end_of(executor: Executor, ticket: Ticket, go: Path) -> int | None:
    """The exit code of a job that waits for `go`, looked up once, after the executor told that something changed."""
    told = threading.Event()
    executor.notify(told.set)
    assert progress(executor, ticket).phase is JobPhase.RUNNING
    go.touch()
    assert told.wait(PATIENCE_SECONDS)
    return progress(executor, ticket).exit_code


def test_the_end_of_a_job_is_told(site: Site, tmp_path: Path) -> None:
    executor = local(site)
    ticket = hand_over(executor, "rainbow-1-1", f"{until_there(tmp_path / 'go')}; exit 4")

    assert end_of(executor, ticket, tmp_path / "go") == 4
    assert executor.capacity().slots == 4


def test_the_end_of_a_job_that_an_earlier_agent_started_is_told(site: Site, tmp_path: Path) -> None:
    ticket = hand_over(local(site), "rainbow-2-1", f"{until_there(tmp_path / 'go')}; exit 5")

    assert end_of(local(site), ticket, tmp_path / "go") == 5


def test_a_job_is_started_after_the_server_of_runners_was_killed(site: Site, tmp_path: Path) -> None:
    executor = local(site)
    first = hand_over(executor, "rainbow-3-1", f"{until_there(tmp_path / 'go')}; exit 6")
    server = server_of(executor)
    os.kill(server, signal.SIGKILL)
    wait_until(lambda: server not in servers())

    second = hand_over(executor, "rainbow-4-1", "exit 7")
    (tmp_path / "go").touch()

    assert wait_for(executor, second, JobPhase.ENDED).exit_code == 7
    assert wait_for(executor, first, JobPhase.ENDED).exit_code == 6


def test_a_server_of_runners_that_is_stopped_is_replaced(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job of the agent's user may stop it."""
    executor = local(site)
    first = hand_over(executor, "rainbow-7-1", until_there(tmp_path / "go"))
    server = server_of(executor)
    monkeypatch.setattr(runner_server, "START_SECONDS", 0.5)
    os.kill(server, signal.SIGSTOP)

    with pytest.raises(SchedulerSilent):
        hand_over(executor, "rainbow-8-1", f"echo ran >> {tmp_path}/ran")
    wait_until(lambda: server not in servers())
    monkeypatch.undo()
    assert executor.find(["rainbow-8-1"]) == {}
    again = hand_over(executor, "rainbow-8-1", f"echo ran >> {tmp_path}/ran")

    assert wait_for(executor, again, JobPhase.ENDED).exit_code == 0
    assert lines_of(tmp_path / "ran") == ["ran"]
    (tmp_path / "go").touch()
    wait_for(executor, first, JobPhase.ENDED)


def test_the_server_of_runners_ends_with_its_executor_and_jobs_go_on(site: Site, tmp_path: Path) -> None:
    executor = local(site)
    ticket = hand_over(executor, "rainbow-5-1", f"{until_there(tmp_path / 'go')}; exit 8")
    server = server_of(executor)

    del executor
    wait_until(lambda: server not in servers())
    (tmp_path / "go").touch()

    assert wait_for(local(site), ticket, JobPhase.ENDED).exit_code == 8


def test_a_runner_that_cannot_note_its_start_says_so_and_runs_nothing(site: Site, tmp_path: Path) -> None:
    executor = local(site)
    (site.folder / "notes" / "rainbow-6-1" / "ended.new").mkdir(parents=True)

    with pytest.raises(Exception, match="did not start"):
        hand_over(executor, "rainbow-6-1", f"echo ran >> {tmp_path}/ran")

    assert lines_of(tmp_path / "ran") == []
    assert executor.find(["rainbow-6-1"]) == {}


def server_of(executor: Any) -> int:
    """Those of executors of other tests may live still."""
    return int(executor._server._running.process.pid)


def servers() -> list[int]:
    """Of this process, that live."""
    wanted = f"{PROGRAM}\0{NO_KEY}".encode()
    return [child for child in descendants(os.getpid()) if wanted in _command(child)]


def _command(process: int) -> bytes:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return b""


def test_a_large_job_is_not_overtaken_while_it_waits_for_room(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_executor, "ROOM_SECONDS", PATIENCE_SECONDS)
    executor, order = local(site), tmp_path / "order"
    hand_over(executor, "rainbow-7-1", until_there(tmp_path / "go"))
    with ThreadPoolExecutor(2) as threads:
        large = threads.submit(hand_over, executor, "rainbow-8-1", f"echo large >> {order}", nodes=4)
        wait_until(lambda: executor._line)  # type: ignore[attr-defined]
        small = threads.submit(hand_over, executor, "rainbow-9-1", f"echo small >> {order}")
        wait_until(lambda: len(executor._line) == 2)  # type: ignore[attr-defined]
        (tmp_path / "go").touch()
        for ticket in (large.result(), small.result()):
            wait_for(executor, ticket, JobPhase.ENDED)

    assert lines_of(order) == ["large", "small"]


def test_a_job_for_which_there_is_no_room_is_not_taken(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_executor, "ROOM_SECONDS", 0.0)
    executor = local(site)
    first = hand_over(executor, "rainbow-10-1", until_there(tmp_path / "go"))

    with pytest.raises(NoRoom, match="fewer than 4 slots are free"):
        hand_over(executor, "rainbow-11-1", "true", nodes=4)

    assert executor.find(["rainbow-11-1"]) == {}
    (tmp_path / "go").touch()
    wait_for(executor, first, JobPhase.ENDED)
