"""What may go wrong between an agent and Flux: nothing runs twice, and no trouble is taken for the end of a job."""

import os
import signal
import time
from pathlib import Path

import pytest

from rainbow.executors.executor import Ending, Executor, JobPhase, SchedulerSilent, Ticket, WorkRefused
from rainbow.executors.folders import folder_of
from rainbow.specs import Work
from tests.support.executors import hand_over, lines_of, progress, wait_for, wait_until
from tests.support.flux_cast import CAST, REAL, WAYS, Place, needs_flux, place_beside
from tests.support.flux_instance import RealInstance

everywhere = pytest.mark.parametrize("place", CAST, indirect=True)
each_way = pytest.mark.parametrize("way", WAYS)


def real(test: object) -> object:
    for mark in needs_flux:
        test = mark(test)
    return test


@everywhere
def test_a_job_that_was_handed_over_twice_runs_once_in_all_its_tasks(flux: Executor, tmp_path: Path) -> None:
    tasks = flux.capacity().slots
    command = f"echo $FLUX_TASK_RANK >> {tmp_path}/ran; echo $FLUX_TASK_RANK; exit 5"
    wanted = {"nodes": flux.capacity().nodes, "tasks": tasks}

    first = hand_over(flux, "rainbow-1-1", command, **wanted)
    second = hand_over(flux, "rainbow-1-1", command, **wanted)
    ends = [wait_for(flux, ticket, JobPhase.ENDED) for ticket in (first, second)]
    # The one that did not run has ended as well, whichever it is.
    wait_until(lambda: flux.capacity().slots == tasks)

    assert first.native_id != second.native_id
    assert [end.exit_code for end in ends] == [5, 5]
    assert sorted(map(int, lines_of(tmp_path / "ran"))) == list(range(tasks))
    assert sorted(map(int, flux.output(first).split())) == list(range(tasks))
    assert flux.find([first.key])[first.key] in (first.native_id, second.native_id)


@everywhere
def test_a_job_that_was_handed_over_twice_and_cancelled_never_runs(place: Place, tmp_path: Path) -> None:
    """Its agent knows of one of the two, and that one is cancelled."""
    place.instance.stop_scheduling("lunch")
    hand_over(place.flux, "rainbow-2-1", f"echo ran >> {tmp_path}/ran")
    known = hand_over(place.flux, "rainbow-2-1", f"echo ran >> {tmp_path}/ran")

    place.flux.cancel([known])
    seen = wait_for(place.flux, known, JobPhase.ENDED)
    place.instance.recover()
    after = hand_over(place.flux, "rainbow-3-1", "true")
    wait_for(place.flux, after, JobPhase.ENDED)

    assert seen.ending == Ending.CANCELLED
    assert progress(place.flux, known).ending == Ending.CANCELLED
    assert lines_of(tmp_path / "ran") == []


@everywhere
def test_a_job_that_starts_when_it_was_cancelled_says_so(place: Place) -> None:
    """The claim is gone, and the cancellation may come too late to stop the script."""
    place.instance.stop_scheduling("lunch")
    ticket = hand_over(place.flux, "rainbow-4-1", "true")
    place.flux.cancel([ticket])

    lost = Ticket(key=ticket.key, native_id="f111")

    assert progress(place.flux, lost).ending == Ending.CANCELLED


@everywhere
def test_a_queue_that_takes_no_jobs_is_not_ready_and_refuses_none(place: Place) -> None:
    place.instance.disable("maintenance")

    closed = place.flux.capacity()
    with pytest.raises(SchedulerSilent, match="takes no jobs now: job submission is disabled: maintenance"):
        place.flux.submit(Work(command="true"), "rainbow-5-1")
    place.instance.recover()

    assert closed.not_ready == "Job submission is disabled: maintenance"
    assert place.flux.find(["rainbow-5-1"]) == {}
    assert wait_for(place.flux, hand_over(place.flux, "rainbow-5-1", "true"), JobPhase.ENDED).exit_code == 0


@everywhere
def test_a_queue_that_starts_no_jobs_is_not_ready(place: Place) -> None:
    place.instance.stop_scheduling("lunch")

    assert place.flux.capacity().not_ready == "Scheduling is stopped: lunch"


@everywhere
def test_a_flux_that_cannot_look_jobs_up_says_nothing_of_them(place: Place) -> None:
    ticket = hand_over(place.flux, "rainbow-6-1", "exit 4")
    unknown = Ticket(key="rainbow-7-1", native_id="f111")
    wait_for(place.flux, ticket, JobPhase.ENDED)

    place.instance.lose_job_list()
    with pytest.raises(SchedulerSilent, match="No service matching job-list"):
        place.flux.watch([ticket, unknown])
    with pytest.raises(SchedulerSilent, match="No service matching job-list"):
        place.flux.find([ticket.key])
    place.instance.recover()

    assert wait_for(place.flux, ticket, JobPhase.ENDED).exit_code == 4
    seen = progress(place.flux, unknown)
    assert (seen.phase, seen.reason) == (JobPhase.GONE, "Flux no longer knows the job, which had not started")
    lost = progress(place.flux, Ticket(key=ticket.key, native_id="f111"))
    assert (lost.phase, lost.exit_code) == (JobPhase.ENDED, 4)  # that which made its claim is ours


@everywhere
def test_what_flux_will_never_take_is_refused_in_its_words(place: Place, tmp_path: Path) -> None:
    for option, words in (
        ("--bad-option=1", "unrecognized arguments: --bad-option"),
        ("--queue=none", "Flux refused: 'none' is not a valid queue"),
    ):
        badly_set_up = place_beside(place.instance, tmp_path / option, way=place.way, options=(option,))
        with pytest.raises(WorkRefused, match=words):
            badly_set_up.flux.submit(Work(command="true"), "rainbow-8-1")


@everywhere
def test_the_options_of_a_site_go_with_each_job(place: Place, tmp_path: Path) -> None:
    holding = place_beside(place.instance, tmp_path / "holding", way=place.way, options=("--urgency=hold",))

    ticket = hand_over(holding.flux, "rainbow-16-1", "true")
    wait_until(lambda: progress(holding.flux, ticket).reason == "held in Flux: its priority is 0")

    assert progress(holding.flux, ticket).phase == JobPhase.PENDING


@pytest.mark.parametrize("place", CAST[:2], indirect=True)
def test_a_broker_that_is_away_is_neither_success_nor_failure(place: Place) -> None:
    ticket = hand_over(place.flux, "rainbow-9-1", "true")
    place.instance.lose_broker()

    for call in (
        place.flux.capacity,
        lambda: place.flux.watch([ticket]),
        lambda: place.flux.find([ticket.key]),
        lambda: place.flux.cancel([ticket]),
        lambda: place.flux.submit(Work(command="true"), "rainbow-10-1"),
    ):
        with pytest.raises(SchedulerSilent, match="broker socket"):
            call()


@pytest.mark.parametrize("place", [CAST[0], *REAL], indirect=True)
def test_all_of_more_than_a_thousand_jobs_are_seen(place: Place) -> None:
    """Unless it is told otherwise `flux jobs` leaves out what goes beyond 1,000."""
    many = 1003
    natives = place.instance.hold(many)
    tickets = [Ticket(key=f"rainbow-{number}-2", native_id=native) for number, native in enumerate(natives)]

    seen = place.flux.watch(tickets)

    assert len(tickets) == len(seen) == many
    assert {one.phase for one in seen.values()} == {JobPhase.PENDING}


@pytest.mark.parametrize("place", [*CAST[:2], *REAL[2:]], indirect=True)
def test_many_jobs_are_found_among_many(place: Place) -> None:
    """Flux gives up when it is to compare too many names with too many jobs: a million in all."""
    place.instance.hold(1100)
    ticket = hand_over(place.flux, "rainbow-17-1", "true")

    found = place.flux.find([ticket.key, *(f"rainbow-{number}-1" for number in range(1000, 2000))])

    assert found == {ticket.key: ticket.native_id}


@everywhere
def test_what_ended_before_it_was_handed_over_is_not_looked_through(place: Place) -> None:
    ticket = hand_over(place.flux, "rainbow-18-1", "true")
    wait_for(place.flux, ticket, JobPhase.ENDED)

    wait_until(lambda: place.flux._client.named([ticket.key], since=time.time() - 2) == [])
    found = place.flux._client.named([ticket.key], since=time.time() - 3600)

    assert found[0].native_id == ticket.native_id


@real
@each_way
def test_a_broker_that_dies_is_neither_success_nor_failure(own_flux: RealInstance, tmp_path: Path, way: str) -> None:
    flux = place_beside(own_flux, tmp_path, way=way).flux
    ticket = hand_over(flux, "rainbow-11-1", "true")

    os.kill(own_flux.broker(0), signal.SIGKILL)

    for call in (
        flux.capacity,
        lambda: flux.watch([ticket]),
        lambda: flux.find([ticket.key]),
        lambda: flux.cancel([ticket]),
        lambda: flux.submit(Work(command="true"), "rainbow-12-1"),
    ):
        with pytest.raises(SchedulerSilent):
            call()


@real
@each_way
def test_a_node_that_fails_is_told_as_that(own_flux: RealInstance, tmp_path: Path, way: str) -> None:
    place = place_beside(own_flux, tmp_path, way=way, options=("--requires=rank:2-3",))
    trapping = "trap 'exit 0' TERM; sleep 300 & wait"
    tickets = [
        hand_over(place.flux, f"rainbow-{number}-1", command, nodes=2)
        for number, command in ((13, "sleep 300"), (14, trapping))
    ]
    for ticket in tickets:
        wait_for(place.flux, ticket, JobPhase.RUNNING)
        wait_until(folder_of(place.site.folder, ticket.key).started.exists)

    os.kill(own_flux.broker(3), signal.SIGKILL)
    ends = [wait_for(place.flux, ticket, JobPhase.ENDED) for ticket in tickets]

    assert [(end.ending, end.exit_code, end.signal) for end in ends] == [(Ending.NODE_FAILED, None, None)] * 2
    assert all(end.reason.startswith("node failure on ") for end in ends)


@real
@each_way
@pytest.mark.slow
@pytest.mark.timeout(400)
def test_what_a_slow_broker_may_take_late_runs_once(own_flux: RealInstance, tmp_path: Path, way: str) -> None:
    """A submission by the bindings goes on when its caller gave up, and is found; the command was killed."""
    place = place_beside(own_flux, tmp_path, way=way)
    broker, free = own_flux.broker(0), place.flux.capacity()

    os.kill(broker, signal.SIGSTOP)
    with pytest.raises(SchedulerSilent, match="did not answer"):
        hand_over(place.flux, "rainbow-15-1", f"echo ran >> {tmp_path}/ran")
    os.kill(broker, signal.SIGCONT)
    if way == "bindings":
        wait_until(lambda: place.flux.find(["rainbow-15-1"]))
    again = hand_over(place.flux, "rainbow-15-1", f"echo ran >> {tmp_path}/ran")
    wait_for(place.flux, again, JobPhase.ENDED)
    wait_until(lambda: place.flux.capacity() == free)

    assert lines_of(tmp_path / "ran") == ["ran"]
