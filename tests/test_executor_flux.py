"""What jobs go through under Flux: a fake that answers as a real one did, and a real one where it is on PATH."""

from pathlib import Path

import pytest

from rainbow.executors.executor import Ending, Executor, JobPhase, Ticket
from tests.support.executors import hand_over, lines_of, progress, wait_for, wait_until
from tests.support.flux_cast import CAST, Place, executor_of, place_beside

pytestmark = pytest.mark.parametrize("place", CAST, indirect=True)


def test_the_errors_follow_the_output(flux: Executor) -> None:
    ticket = hand_over(flux, "rainbow-6-1", "for i in 1 2 3; do echo $i; echo $i >&2; done")

    wait_for(flux, ticket, JobPhase.ENDED)

    assert flux.output(ticket).split() == ["1", "2", "3", "1", "2", "3"]


def test_many_are_cancelled_with_one_call_whatever_they_do(flux: Executor) -> None:
    over = hand_over(flux, "rainbow-8-1", "true")
    running = hand_over(flux, "rainbow-9-1", "sleep 300")
    unknown = Ticket(key="rainbow-10-1", native_id="f111")
    wait_for(flux, over, JobPhase.ENDED)
    wait_for(flux, running, JobPhase.RUNNING)

    flux.cancel([over, unknown, running])

    assert wait_for(flux, running, JobPhase.ENDED).ending == Ending.CANCELLED
    assert progress(flux, over).exit_code == 0


def test_more_nodes_than_exist_fail_with_the_words_of_flux(flux: Executor) -> None:
    ticket = hand_over(flux, "rainbow-11-1", "true", nodes=99)

    seen = wait_for(flux, ticket, JobPhase.ENDED)

    assert (seen.ending, seen.exit_code, seen.started_at) == (Ending.FAILED, None, None)
    assert "unsatisfiable request" in seen.reason


def test_a_job_that_waits_says_so_and_is_cancelled(flux: Executor) -> None:
    free = flux.capacity()
    first = hand_over(flux, "rainbow-12-1", "sleep 300", nodes=free.nodes, tasks=free.slots)
    wait_for(flux, first, JobPhase.RUNNING)
    second = hand_over(flux, "rainbow-13-1", "true", tasks=1)
    wait_until(lambda: progress(flux, second).reason == "waits in Flux for its turn and for resources")

    waiting, capacity = progress(flux, second), flux.capacity()
    flux.cancel([second])
    seen = wait_for(flux, second, JobPhase.ENDED)

    assert waiting.phase == JobPhase.PENDING
    assert (capacity.slots, capacity.not_ready) == (0, "")
    assert (seen.ending, seen.started_at) == (Ending.CANCELLED, None)


def test_each_task_of_a_job_runs_the_command(flux: Executor, tmp_path: Path) -> None:
    tasks = flux.capacity().slots
    ticket = hand_over(
        flux, "rainbow-14-1", f"echo $FLUX_TASK_RANK >> {tmp_path}/ran", nodes=flux.capacity().nodes, tasks=tasks
    )

    seen = wait_for(flux, ticket, JobPhase.ENDED)

    assert seen.exit_code == 0
    assert sorted(map(int, lines_of(tmp_path / "ran"))) == list(range(tasks))


def test_a_job_is_found_by_its_name_and_only_by_its_own_agent(place: Place, tmp_path: Path) -> None:
    tickets = [hand_over(place.flux, f"rainbow-{number}-1", "true") for number in (15, 16)]
    stranger = place_beside(place.instance, tmp_path / "other", way="command")

    keys = [ticket.key for ticket in tickets]
    assert place.flux.find([*keys, "rainbow-17-1"]) == {ticket.key: ticket.native_id for ticket in tickets}
    assert place.flux.find(keys[:1]) == {keys[0]: tickets[0].native_id}
    assert stranger.flux.find(keys) == {}


def test_the_next_agent_finds_the_jobs_of_the_last(place: Place) -> None:
    ticket = hand_over(place.flux, "rainbow-18-1", "exit 3")

    for way in ("command", "bindings"):
        successor = executor_of(place.instance, place.site, way=way)
        assert successor.find([ticket.key]) == {ticket.key: ticket.native_id}
        assert wait_for(successor, ticket, JobPhase.ENDED).exit_code == 3


def test_many_jobs_are_watched_with_one_call(flux: Executor) -> None:
    tickets = [hand_over(flux, f"rainbow-{20 + code}-1", f"exit {code}") for code in range(3)]
    unknown = Ticket(key="rainbow-24-1", native_id="f111")
    for ticket in tickets:
        wait_for(flux, ticket, JobPhase.ENDED)

    seen = flux.watch([*tickets, unknown])

    assert [seen[ticket.key].exit_code for ticket in tickets] == [0, 1, 2]
    assert seen[unknown.key].phase == JobPhase.GONE
