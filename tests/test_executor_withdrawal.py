"""Jobs that are withdrawn from their scheduler: those that never started, and no others."""

import contextlib
import os
import shlex
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from rainbow.executors import withdrawals
from rainbow.executors.commands import Answer, ask
from rainbow.executors.executor import Ending, Executor, JobPhase, SchedulerSilent, Ticket
from rainbow.executors.flux_bindings import FluxBindings
from rainbow.executors.folders import Records, folder_of
from rainbow.system.disk_space import DiskFull
from tests.support import flux_cast, schedulers
from tests.support.executors import hand_over, lines_of, progress, until_there, wait_for, wait_until
from tests.support.schedulers import FILLER, SCHEDULERS, Scheduler

real_flux = flux_cast.real_flux
slurm_cluster = schedulers.slurm_cluster
scheduler = schedulers.scheduler

on_each = pytest.mark.parametrize("scheduler", SCHEDULERS, indirect=True)
with_a_queue = pytest.mark.parametrize("scheduler", [one for one in SCHEDULERS if one.id != "local"], indirect=True)
KEY = "rainbow-20-1"


@pytest.fixture
def full(scheduler: Scheduler, tmp_path: Path) -> Iterator[Callable[[], None]]:
    """A scheduler all of whose nodes are in use; a call ends that."""
    executor, go = scheduler.executor(), tmp_path / "end"
    free = executor.capacity()
    filler = hand_over(executor, FILLER, until_there(go), nodes=free.nodes, tasks=free.slots)
    wait_for(executor, filler, JobPhase.RUNNING)

    def end() -> None:
        go.touch()
        wait_for(executor, filler, JobPhase.ENDED)

    yield end
    end()


def waiting(executor: Executor, ran: Path) -> Ticket:
    ticket = hand_over(executor, KEY, f"echo ran >> {ran}")
    wait_for(executor, ticket, JobPhase.PENDING)
    return ticket


@with_a_queue
def test_a_job_that_waits_is_withdrawn_and_never_runs(
    scheduler: Scheduler, full: Callable[[], None], tmp_path: Path
) -> None:
    executor = scheduler.executor()
    ticket = waiting(executor, tmp_path / "ran")

    executor.withdraw([ticket])
    seen = wait_for(executor, ticket, JobPhase.ENDED)
    executor.withdraw([ticket])
    # As a submission that got no answer may arrive: now, and when nothing is left of the first on disk.
    late = hand_over(executor, KEY, f"echo ran >> {tmp_path / 'ran'}")
    full()
    late_end = wait_for(executor, late, JobPhase.ENDED)

    assert (seen.ending, seen.started_at) == (Ending.WITHDRAWN, None)
    assert seen.ended_at
    assert late_end.ending == Ending.WITHDRAWN
    assert not lines_of(tmp_path / "ran")


@with_a_queue
def test_the_next_agent_learns_that_a_job_was_withdrawn(
    scheduler: Scheduler, full: Callable[[], None], tmp_path: Path
) -> None:
    ticket = waiting(scheduler.executor(), tmp_path / "ran")
    scheduler.executor().withdraw([ticket])

    ends = [wait_for(scheduler.executor(), ticket, JobPhase.ENDED) for _ in range(2)]

    assert [end.ending for end in ends] == [Ending.WITHDRAWN] * 2


@on_each
def test_a_job_that_runs_goes_on(scheduler: Scheduler, tmp_path: Path) -> None:
    executor = scheduler.executor()
    ticket = hand_over(executor, KEY, f"echo ready; {until_there(tmp_path / 'go')}; exit 3")
    wait_until(lambda: executor.output(ticket) == "ready\n")

    executor.withdraw([ticket])
    (tmp_path / "go").touch()

    seen = wait_for(executor, ticket, JobPhase.ENDED)
    assert (seen.ending, seen.exit_code) == (Ending.EXITED, 3)


@with_a_queue
def test_a_job_that_starts_while_it_is_withdrawn_runs_to_its_end(
    scheduler: Scheduler, full: Callable[[], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It starts between the look at what waits and the hold."""
    executor = scheduler.executor()
    ticket = hand_over(executor, KEY, f"echo ready; {until_there(tmp_path / 'go')}; exit 3")
    wait_for(executor, ticket, JobPhase.PENDING)

    def start_meanwhile(folder: Any) -> None:
        begin(folder)
        full()
        wait_until(lambda: executor.output(ticket) == "ready\n")

    begin = withdrawals.begin
    for module in ("slurm", "flux"):
        monkeypatch.setattr(f"rainbow.executors.{module}.begin", start_meanwhile)
    executor.withdraw([ticket])
    during = progress(executor, ticket).phase
    (tmp_path / "go").touch()

    seen = wait_for(executor, ticket, JobPhase.ENDED)
    assert during == JobPhase.RUNNING
    assert (seen.ending, seen.exit_code) == (Ending.EXITED, 3)


@with_a_queue
def test_a_job_that_others_cancel_while_it_waits_was_not_withdrawn(
    scheduler: Scheduler, full: Callable[[], None], tmp_path: Path
) -> None:
    executor = scheduler.executor()
    ticket = waiting(executor, tmp_path / "ran")

    executor.cancel([ticket])

    assert wait_for(executor, ticket, JobPhase.ENDED).ending == Ending.CANCELLED


@with_a_queue
def test_a_job_whose_command_ran_is_never_withdrawn(
    scheduler: Scheduler, full: Callable[[], None], tmp_path: Path
) -> None:
    """Whatever its scheduler says of it by now: a claim that was made stays."""
    executor = scheduler.executor()
    ticket = waiting(executor, tmp_path / "ran")
    folder = folder_of(scheduler.site.folder, KEY)
    withdrawals.begin(folder)
    folder.job.write_once("started", f"{ticket.native_id} 1795780800 0\n")

    executor.withdraw([ticket])
    before = progress(executor, ticket).phase
    executor.cancel([ticket])

    assert before == JobPhase.PENDING
    assert wait_for(executor, ticket, JobPhase.ENDED).ending == Ending.CANCELLED


@with_a_queue
def test_nothing_is_withdrawn_that_cannot_be_noted(
    scheduler: Scheduler, full: Callable[[], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    executor = scheduler.executor()
    ticket = waiting(executor, tmp_path / "ran")

    def no_space(handle: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr(os, "fsync", no_space)
        with pytest.raises(DiskFull):
            executor.withdraw([ticket])
        during = progress(executor, ticket).phase
    executor.withdraw([ticket])

    assert during == JobPhase.PENDING
    assert wait_for(executor, ticket, JobPhase.ENDED).ending == Ending.WITHDRAWN


@with_a_queue
def test_a_withdrawal_that_cannot_be_noted_is_told_later(
    scheduler: Scheduler, full: Callable[[], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the claim, a submission that arrives late would run the command."""
    executor = scheduler.executor()
    ticket = waiting(executor, tmp_path / "ran")
    executor.withdraw([ticket])
    wait_until(lambda: not executor._waiting([ticket]))  # type: ignore[attr-defined]

    def no_space(*words: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr(Records, "write_once", no_space)
        during = executor.watch([ticket])

    assert during == {}
    assert wait_for(executor, ticket, JobPhase.ENDED).ending == Ending.WITHDRAWN


@with_a_queue
def test_a_withdrawal_is_remembered_when_the_scheduler_forgot_the_job(
    scheduler: Scheduler, full: Callable[[], None], tmp_path: Path
) -> None:
    executor = scheduler.executor()
    ticket = waiting(executor, tmp_path / "ran")
    executor.withdraw([ticket])
    wait_for(executor, ticket, JobPhase.ENDED)

    forgotten = progress(executor, Ticket(key=KEY, native_id=scheduler.unknown))

    assert (forgotten.phase, forgotten.ending) == (JobPhase.ENDED, Ending.WITHDRAWN)


@with_a_queue
def test_a_job_that_ran_and_removed_its_claim_is_never_withdrawn(scheduler: Scheduler) -> None:
    executor = scheduler.executor()
    folder = folder_of(scheduler.site.folder, KEY)
    ticket = hand_over(executor, KEY, f"rm {shlex.quote(str(folder.started))}; echo ready; sleep 300")
    wait_until(lambda: executor.output(ticket) == "ready\n")
    withdrawals.begin(folder)

    executor.cancel([ticket])

    assert wait_for(executor, ticket, JobPhase.ENDED).ending == Ending.CANCELLED


@with_a_queue
def test_a_job_that_cannot_be_held_is_not_cancelled(
    scheduler: Scheduler, full: Callable[[], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It might start before the scheduler cancels it."""
    executor = scheduler.executor()
    ticket = waiting(executor, tmp_path / "ran")

    def refusing(command: Sequence[str], **how: Any) -> Answer:
        return Answer(status=1, text="", complaint="Access denied") if "hold" in command else ask(command, **how)

    for module in ("slurm", "flux_command"):
        monkeypatch.setattr(f"rainbow.executors.{module}.ask", refusing)
    monkeypatch.setattr(FluxBindings, "_hold", lambda *_: None)
    with contextlib.suppress(SchedulerSilent):
        executor.withdraw([ticket])
    full()

    assert wait_for(executor, ticket, JobPhase.ENDED).ending == Ending.EXITED
    assert lines_of(tmp_path / "ran") == ["ran"]
