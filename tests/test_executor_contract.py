"""What an agent may rely on of every executor."""

import shlex
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from rainbow.executors.executor import Ending, Executor, JobPhase, SchedulerSilent, Site, Ticket
from rainbow.executors.table import EXECUTORS
from rainbow.specs import Work
from tests.support import flux_cast, schedulers
from tests.support.executors import hand_over, lines_of, progress, until_there, wait_for, wait_until
from tests.support.schedulers import NATIVE_IDS, SCHEDULERS, WITH_A_TIME_LIMIT, Scheduler

real_flux = flux_cast.real_flux
slurm_cluster = schedulers.slurm_cluster
scheduler = schedulers.scheduler

on_each = pytest.mark.parametrize("scheduler", SCHEDULERS, indirect=True)
GUIDE = Path(__file__).parent.parent / "docs" / "executors.md"


@on_each
def test_a_job_runs_as_it_was_asked_for(scheduler: Scheduler, tmp_path: Path) -> None:
    executor = scheduler.executor()
    (tmp_path / "work").mkdir()
    asked = {"GREETING": 'it\'s\n"$HOME" `id` {{id}}'}

    ticket = hand_over(
        executor,
        "rainbow-1-1",
        'printf "%s|" "$GREETING" "$PWD"; echo é >&2',
        environment=asked,
        working_directory=str(tmp_path / "work"),
    )
    seen = wait_for(executor, ticket, JobPhase.ENDED)

    assert (seen.ending, seen.exit_code, seen.signal, seen.reason) == (Ending.EXITED, 0, None, "")
    assert seen.started_at and seen.ended_at and seen.started_at <= seen.ended_at
    assert executor.output(ticket) == f"{asked['GREETING']}|{tmp_path}/work|é\n"


@on_each
def test_no_credential_of_the_agent_reaches_a_job(scheduler: Scheduler) -> None:
    executor = scheduler.executor()

    ticket = hand_over(executor, "rainbow-2-1", "env | cut -d= -f1", environment={"MINE": "1"})
    wait_for(executor, ticket, JobPhase.ENDED)

    names = set(executor.output(ticket).split())
    assert {"MINE", "PATH", "HOME", "USER"} <= names
    assert not {name for name in names if name.startswith("RAINBOW")}


@on_each
def test_an_exit_code_is_reported(scheduler: Scheduler) -> None:
    executor = scheduler.executor()

    seen = wait_for(executor, hand_over(executor, "rainbow-3-1", "exit 7"), JobPhase.ENDED)

    assert (seen.ending, seen.exit_code, seen.signal) == (Ending.EXITED, 7, None)


@on_each
def test_a_signal_is_reported(scheduler: Scheduler) -> None:
    executor = scheduler.executor()

    seen = wait_for(executor, hand_over(executor, "rainbow-4-1", "kill -9 $$"), JobPhase.ENDED)

    assert (seen.ending, seen.exit_code, seen.signal) == (Ending.SIGNALLED, None, 9)
    assert seen.reason == "killed by signal 9 (SIGKILL)"


@pytest.mark.parametrize("scheduler", WITH_A_TIME_LIMIT, indirect=True)
def test_a_time_limit_ends_a_job(scheduler: Scheduler) -> None:
    executor = scheduler.executor()

    ticket = hand_over(executor, "rainbow-5-1", "sleep 300", time_limit_seconds=1)
    seen = wait_for(executor, ticket, JobPhase.ENDED)

    assert (seen.ending, seen.exit_code, seen.reason) == (Ending.TIMED_OUT, None, "reached its time limit")


@on_each
def test_a_running_job_is_cancelled(scheduler: Scheduler) -> None:
    executor = scheduler.executor()
    ticket = hand_over(executor, "rainbow-6-1", "echo ready; sleep 300")
    # A job that is cancelled before its script made the claim never ran the command.
    wait_until(lambda: executor.output(ticket) == "ready\n")
    running = wait_for(executor, ticket, JobPhase.RUNNING)

    executor.cancel([ticket])
    seen = wait_for(executor, ticket, JobPhase.ENDED)
    executor.cancel([ticket])

    assert (seen.ending, seen.exit_code, seen.reason) == (Ending.CANCELLED, None, "cancelled")
    assert seen.started_at == running.started_at
    assert progress(executor, ticket).ending == Ending.CANCELLED, "a second time does no harm"


@on_each
@pytest.mark.parametrize("kind", ["the job's own shell", "a program"])
def test_a_running_job_is_sent_a_signal(scheduler: Scheduler, kind: str) -> None:
    executor = scheduler.executor()
    waits = "trap 'echo told; exit 9' USR1; echo ready; while :; do sleep 0.1; done"
    waits = waits if kind == "the job's own shell" else shlex.join(["bash", "-c", waits])
    ticket = hand_over(executor, "rainbow-15-1", waits)
    wait_until(lambda: executor.output(ticket) == "ready\n")
    wait_for(executor, ticket, JobPhase.RUNNING)

    executor.signal(ticket, "USR1")
    seen = wait_for(executor, ticket, JobPhase.ENDED)
    executor.signal(ticket, "USR1")

    assert seen.exit_code == 9
    assert "told\n" in executor.output(ticket)


@pytest.mark.parametrize("scheduler", SCHEDULERS[:2], indirect=True)
def test_a_signal_reaches_the_shell_of_the_command_too_which_goes_on_where_it_traps_it(scheduler: Scheduler) -> None:
    executor = scheduler.executor()
    program = "sh -c 'trap \"echo told; exit 3\" USR1; echo ready; while :; do sleep 0.1; done'"
    careful = hand_over(executor, "rainbow-17-1", f"trap : USR1; {program}; echo over $?")
    plain = hand_over(executor, "rainbow-18-1", f"{program}; echo over $?")
    for ticket in (careful, plain):
        wait_until(lambda ticket=ticket: executor.output(ticket) == "ready\n")  # type: ignore[misc]
        wait_for(executor, ticket, JobPhase.RUNNING)
        executor.signal(ticket, "USR1")

    assert wait_for(executor, careful, JobPhase.ENDED).exit_code == 0
    assert {"told", "over 3"} <= set(executor.output(careful).splitlines())
    seen = wait_for(executor, plain, JobPhase.ENDED)
    assert (seen.ending, seen.signal) == (Ending.SIGNALLED, signal.SIGUSR1)
    assert "over" not in executor.output(plain)


@on_each
def test_each_signal_that_may_be_sent_arrives(scheduler: Scheduler) -> None:
    executor = scheduler.executor()
    ticket = hand_over(executor, "rainbow-16-1", "trap 'exit 9' WINCH; echo ready; while :; do sleep 0.1; done")
    wait_until(lambda: executor.output(ticket) == "ready\n")
    wait_for(executor, ticket, JobPhase.RUNNING)

    for name in ("STOP", "CONT", "WINCH"):
        executor.signal(ticket, name)

    assert wait_for(executor, ticket, JobPhase.ENDED).exit_code == 9


@on_each
def test_a_job_that_ended_by_itself_stays_as_it_ended(scheduler: Scheduler) -> None:
    executor = scheduler.executor()
    ticket = hand_over(executor, "rainbow-7-1", "exit 3")
    wait_for(executor, ticket, JobPhase.ENDED)

    executor.cancel([ticket])

    assert progress(executor, ticket).exit_code == 3


@on_each
def test_the_next_agent_finds_a_job_and_no_other_agent_does(scheduler: Scheduler, tmp_path: Path) -> None:
    ticket = hand_over(scheduler.executor(), "rainbow-8-1", f"{until_there(tmp_path / 'go')}; exit 6")

    successor = scheduler.executor()
    found = successor.find([ticket.key, "rainbow-9-1"])
    foreign = scheduler.of_another_agent().find([ticket.key])
    (tmp_path / "go").touch()

    assert found == {ticket.key: ticket.native_id}
    assert foreign == {}
    assert wait_for(successor, ticket, JobPhase.ENDED).exit_code == 6
    assert successor.find([ticket.key]) == found, "also when it is over"


@on_each
def test_a_job_that_was_handed_over_twice_runs_once(scheduler: Scheduler, tmp_path: Path) -> None:
    command = f"echo ran >> {tmp_path}/ran; {until_there(tmp_path / 'go')}; exit 5"
    first = hand_over(scheduler.executor(), "rainbow-10-1", command)
    second = hand_over(scheduler.executor(), "rainbow-10-1", command)
    (tmp_path / "go").touch()

    ends = [wait_for(scheduler.executor(), ticket, JobPhase.ENDED) for ticket in (first, second)]

    assert [end.exit_code for end in ends] == [5, 5]
    assert lines_of(tmp_path / "ran") == ["ran"]


@on_each
def test_a_job_that_the_scheduler_does_not_know_is_gone(scheduler: Scheduler) -> None:
    executor = scheduler.executor()
    unknown = Ticket(key="rainbow-11-1", native_id=scheduler.unknown)
    nonsense = Ticket(key="rainbow-12-1", native_id="--no id")

    seen = executor.watch([unknown, nonsense])
    executor.cancel([unknown, nonsense])

    assert [seen[ticket.key].phase for ticket in (unknown, nonsense)] == [JobPhase.GONE, JobPhase.GONE]
    assert seen[unknown.key].reason
    assert executor.output(unknown) == ""


@on_each
def test_a_scheduler_that_takes_no_jobs_now_refuses_none(scheduler: Scheduler) -> None:
    executor = scheduler.executor()
    before = executor.capacity()
    scheduler.close(executor)

    closed = executor.capacity()
    with pytest.raises(SchedulerSilent):
        executor.submit(Work(command="true"), "rainbow-13-1")
    found = executor.find(["rainbow-13-1"])
    scheduler.reopen()

    assert (bool(before.nodes), bool(before.slots), before.not_ready) == (True, True, "")
    assert closed.not_ready or not closed.slots
    assert found == {}
    assert wait_for(executor, hand_over(executor, "rainbow-13-1", "exit 2"), JobPhase.ENDED).exit_code == 2


@on_each
def test_it_tells_what_it_has_whatever_is_free(scheduler: Scheduler) -> None:
    executor = scheduler.executor()
    before = executor.facts()
    scheduler.close(executor)

    closed = executor.facts()
    scheduler.reopen()

    assert closed == before
    assert before.values["scheduler"] in EXECUTORS
    assert all(one.name and one.cores_per_node > 0 and one.gpus_per_node for one in before.partitions)
    assert any(one.default for one in before.partitions)


@on_each
def test_nothing_is_left_on_disk_of_a_job_that_is_forgotten(scheduler: Scheduler) -> None:
    executor = scheduler.executor()
    ticket = hand_over(executor, "rainbow-14-1", "echo here")
    wait_for(executor, ticket, JobPhase.ENDED)

    executor.forget(ticket)
    while executor.tidy([]):
        pass

    left = [path for place in ("jobs", "notes", "trash") for path in (scheduler.site.folder / place).iterdir()]
    assert left == []
    assert executor.output(ticket) == ""


@on_each
@pytest.mark.parametrize("key", ["", "..", "a/b", "rainbow-1-1\n", "é"])
def test_a_key_is_never_a_path(scheduler: Scheduler, key: str) -> None:
    with pytest.raises(ValueError, match="cannot name a job"):
        scheduler.executor().submit(Work(command="true"), key)


CALLS: dict[str, Callable[[Executor, Ticket], object]] = {
    "capacity": lambda executor, ticket: executor.capacity(),
    "submit": lambda executor, ticket: executor.submit(Work(command="true"), ticket.key),
    "find": lambda executor, ticket: executor.find([ticket.key]),
    "watch": lambda executor, ticket: executor.watch([ticket]),
    "cancel": lambda executor, ticket: executor.cancel([ticket]),
}


@pytest.mark.parametrize("name", NATIVE_IDS)
@pytest.mark.parametrize("call", CALLS)
def test_a_scheduler_that_is_not_there_is_silent(name: str, call: str, tmp_path: Path) -> None:
    environment = {"PATH": str(tmp_path), "FLUX_URI": "local:///no/such", "HOME": str(tmp_path)}
    executor = EXECUTORS[name].make(Site(folder=tmp_path / "state", environment=environment))

    with pytest.raises(SchedulerSilent):
        CALLS[call](executor, Ticket(key="rainbow-1-1", native_id=NATIVE_IDS[name]))


@pytest.mark.parametrize("name", EXECUTORS)
def test_every_executor_is_in_this_suite_and_in_the_guide(name: str) -> None:
    assert any(str(of.id).startswith(name) for of in SCHEDULERS)
    assert name in NATIVE_IDS or name == "local"
    assert f"\n## {name}\n" in GUIDE.read_text()
