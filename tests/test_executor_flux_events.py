"""Which jobs the executor asks Flux for, by what Flux tells of changes."""

from collections.abc import Collection, Iterator
from pathlib import Path
from queue import SimpleQueue
from types import SimpleNamespace
from typing import Any

import pytest

from rainbow.executors.executor import Access, Ending, JobPhase, SchedulerSilent, Site, Ticket
from rainbow.executors.flux import FluxExecutor
from rainbow.executors.flux_bindings import FluxBindings, find
from rainbow.executors.flux_events import AGAIN_SECONDS, MOST_AGAIN, EventsRefused, FluxEvents
from rainbow.executors.flux_jobs import FluxJobs, from_flux
from tests.support.executors import hand_over, wait_until
from tests.support.fake_flux_bindings import JobID
from tests.support.flux_cast import REAL_BY_BINDINGS, Place
from tests.support.patience import PATIENCE_SECONDS

NOBODY, ROLE_OF_USERS = 65534, "0x2"
TICKETS = [Ticket(key=f"rainbow-{number}-1", native_id=f"f{number}") for number in (1, 2)]


class Flux:
    """Answers in place of FluxBindings, and notes which jobs it was asked for."""

    def __init__(self, *, changes: list[str]) -> None:
        self.told = changes
        self.asked: list[set[str]] = []
        self.states = {"f1": "RUN", "f2": "SCHED"}
        self.is_silent = False

    def changes(self) -> Iterator[str]:
        return iter(self.told)

    def jobs(self, native_ids: Collection[str]) -> FluxJobs:
        self.asked.append(set(native_ids))
        if self.is_silent:
            raise SchedulerSilent("no answer")
        return FluxJobs(jobs=tuple(from_flux({"jobid": native, "state": self.states[native]}) for native in native_ids))


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_all_are_asked_for_while_nothing_is_told() -> None:
    events = FluxEvents(lambda: iter(()))

    assert [events.take_due({"f1", "f2"}) for _ in range(2)] == [{"f1", "f2"}] * 2


def test_what_did_not_change_is_not_asked_for_again() -> None:
    events, notified = telling("")

    seen = [events.take_due({"f1", "f2"}) for _ in range(2)]

    assert (seen, notified) == ([{"f1", "f2"}, set()], [])


def test_a_change_is_told_and_only_that_job_is_asked_for() -> None:
    events, notified = telling("")
    events.take_due({"f1", "f2"})

    events._told("f1")
    events._told("f9")

    assert (notified, events.take_due({"f1", "f2"})) == (["news"], {"f1"})


def test_what_changes_while_it_is_asked_for_is_asked_for_again() -> None:
    events, _ = telling("")
    events.take_due({"f1"})
    events.ask_again(set())

    events._told("f1")

    assert events.take_due({"f1"}) == {"f1"}


def test_the_earliest_are_asked_for_again_after_a_time_and_not_all_at_once() -> None:
    clock = Clock()
    events, _ = telling("", clock=clock)
    early, later = ({f"f{letter}{number}" for number in range(MOST_AGAIN)} for letter in "ab")
    events.take_due(early)
    clock.now = 1
    events.take_due(early | later)

    clock.now = 1 + AGAIN_SECONDS

    assert [events.take_due(early | later) for _ in range(3)] == [early, later, set()]


def test_all_are_asked_for_when_the_events_end() -> None:
    notified: list[str] = []
    events = FluxEvents(lambda: iter(["", "f1"]))
    events.notify = lambda: notified.append("news")

    events.follow()

    assert not events.flows
    assert notified == ["news"]
    assert [events.take_due({"f1"}) for _ in range(2)] == [{"f1"}] * 2


def test_the_executor_asks_only_for_what_changed(tmp_path: Path) -> None:
    client = Flux(changes=[""])
    executor = executor_with(client, tmp_path)

    first = executor.watch(TICKETS)
    second = executor.watch(TICKETS)
    client.states["f2"] = "RUN"
    executor._events._told("f2")
    third = executor.watch(TICKETS)

    assert executor.access.tells_ends
    assert [one.phase for one in first.values()] == [JobPhase.RUNNING, JobPhase.PENDING]
    assert (second, {key: one.phase for key, one in third.items()}) == ({}, {"rainbow-2-1": JobPhase.RUNNING})
    assert client.asked == [{"f1", "f2"}, {"f2"}]


def test_what_got_no_answer_is_asked_for_again(tmp_path: Path) -> None:
    client = Flux(changes=[""])
    executor = executor_with(client, tmp_path)
    client.is_silent = True
    with pytest.raises(SchedulerSilent):
        executor.watch(TICKETS)
    client.is_silent = False

    assert len(executor.watch(TICKETS)) == 2


def test_an_end_is_told_until_it_is_no_longer_asked_for(tmp_path: Path) -> None:
    """The agent may not have noted it."""
    client = Flux(changes=[""])
    client.states["f1"] = "INACTIVE"
    executor = executor_with(client, tmp_path)

    assert ["rainbow-1-1" in executor.watch(TICKETS) for _ in range(2)] == [True, True]


def test_the_journal_tells_which_jobs_changed(tmp_path: Path) -> None:
    """First of those that are active, then that these were all."""
    answers = iter([{"id": 7, "events": [{"name": "alloc"}]}, {"id": -1, "events": []}, {"id": 9, "events": [{}]}])
    asked: list[Any] = []

    def rpc(topic: str, payload: Any, *, flags: int) -> Any:
        asked.append((topic, set(payload["allow"]), flags))
        return SimpleNamespace(get=lambda: next(answers), reset=lambda: None)

    bindings = bindings_with(rpc, tmp_path)
    changes = bindings.changes()

    assert [next(changes) for _ in range(3)] == ["f7", "", "f9"]
    assert asked == [("job-manager.events-journal", {"priority", "urgency", "alloc", "clean"}, 4)]


def test_a_journal_that_says_nothing_more_has_ended(tmp_path: Path) -> None:
    """As where the broker was killed."""
    bindings = bindings_with(lambda *_, **__: SimpleNamespace(get=lambda: None, reset=lambda: None), tmp_path)

    with pytest.raises(ConnectionError):
        next(bindings.changes())


def test_who_does_not_own_the_instance_is_told_no_events(tmp_path: Path) -> None:
    def get() -> Any:
        raise PermissionError(1, "Request requires owner credentials")

    bindings = bindings_with(lambda *_, **__: SimpleNamespace(get=get), tmp_path)

    with pytest.raises(EventsRefused, match="owner of the instance"):
        next(bindings.changes())


@pytest.mark.parametrize("place", REAL_BY_BINDINGS, indirect=True)
def test_a_real_flux_tells_of_starts_and_ends(place: Place) -> None:
    news: SimpleQueue[None] = SimpleQueue()
    place.flux.notify(lambda: news.put(None))
    wait_until(lambda: place.flux.access.tells_changes)

    ticket = hand_over(place.flux, "rainbow-1-1", "sleep 300")
    seen = list(place.flux.watch([ticket]).values())

    def follow_to(phase: JobPhase) -> None:
        while seen[-1].phase != phase:
            news.get(timeout=PATIENCE_SECONDS)
            seen.extend(place.flux.watch([ticket]).values())

    follow_to(JobPhase.RUNNING)
    place.flux.cancel([ticket])
    follow_to(JobPhase.ENDED)

    assert seen[-1].ending == Ending.CANCELLED


@pytest.mark.parametrize("place", REAL_BY_BINDINGS, indirect=True)
def test_a_guest_of_a_real_flux_is_told_of_room_and_jobs_but_of_no_events(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Flux lets its owner act as a guest, by these variables."""
    owned = hand_over(place.flux, "rainbow-1-1", "sleep 300")
    monkeypatch.setenv("FLUX_HANDLE_USERID", str(NOBODY))
    monkeypatch.setenv("FLUX_HANDLE_ROLEMASK", ROLE_OF_USERS)

    bindings = FluxBindings(find(), place.site)

    assert bindings.queues()[0].up_nodes == place.instance.nodes
    assert bindings.resources().described["execution"]
    assert bindings.status("") == ""
    assert [job.native_id for job in bindings.jobs([owned.native_id]).jobs] == [owned.native_id]
    with pytest.raises(EventsRefused, match="owner"):
        next(bindings.changes())
    for refused in (bindings.hold, bindings.cancel):
        with pytest.raises(SchedulerSilent, match="their own jobs"):
            refused([owned.native_id])
    with pytest.raises(SchedulerSilent, match="their own jobs"):
        bindings.signal(owned.native_id, "USR1")


def telling(*changes: str, clock: Clock | None = None) -> tuple[FluxEvents, list[str]]:
    """Events that flow, after these."""
    notified: list[str] = []
    events = FluxEvents(lambda: iter(()), clock=clock or Clock())
    events.notify = lambda: notified.append("news")
    for change in changes:
        events._told(change)
    return events, notified


def executor_with(client: Any, folder: Path) -> FluxExecutor:
    executor = FluxExecutor(Site(folder=folder, environment={}), client, access=Access(description=""))
    for change in client.changes():
        executor._events._told(change)
    return executor


def bindings_with(rpc: Any, folder: Path) -> FluxBindings:
    flux = SimpleNamespace(
        Flux=lambda: SimpleNamespace(rpc=rpc),
        constants=SimpleNamespace(FLUX_RPC_STREAMING=4),
        job=SimpleNamespace(JobID=lambda number: JobID(f"f{number}")),
    )
    return FluxBindings(flux, Site(folder=folder, environment={}))
