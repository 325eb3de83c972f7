"""What a command says of outputs that break off while it follows a job."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest

from rainbow.errors import DeadlineExceeded, FailedPrecondition
from rainbow.records import OutputPart
from rainbow.terminal import live_output
from rainbow.terminal.live_output import LAST_SECONDS, LiveOutput, Output
from tests.support.patience import PATIENCE_SECONDS

AWAY = FailedPrecondition("the agent does not answer")


@dataclass
class Clock:
    """In place of the module `time`; it goes only as it is moved."""

    seconds: float = 0.0
    was_read: threading.Event = field(default_factory=threading.Event)

    def monotonic(self) -> float:
        if threading.current_thread() is threading.main_thread():
            self.was_read.set()
        return self.seconds

    def move(self, seconds: float) -> None:
        """Returns once the thread that joins the others has seen it."""
        self.seconds += seconds
        self.was_read.clear()
        assert self.was_read.wait(PATIENCE_SECONDS)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(live_output, "time", clock)
    monkeypatch.setattr(live_output, "LOOK_EVERY_SECONDS", 0.01)
    return clock


def nothing() -> None: ...


@dataclass
class Site:
    """In place of a client. It reads what there is of each output, and breaks off where it is said to."""

    breaks: set[bool] = field(default_factory=set)
    parts: int = 1
    after_each_part: Callable[[], None] = nothing

    def read_output(self, jobid: int, *, stderr: bool, **more: Any) -> Iterator[OutputPart]:
        for number in range(self.parts):
            yield OutputPart(offset=7 * number, data=b"errors\n" if stderr else b"output\n", attempt=1)
            self.after_each_part()
        if stderr in self.breaks:
            raise AWAY


def attempt(number: int) -> Any:
    return SimpleNamespace(agent="a", attempt=number, started_at=datetime.now(UTC), finished_at=None)


def followed(site: Site) -> LiveOutput:
    return LiveOutput(cast(Any, site), 7)


def test_what_is_missing_of_an_earlier_attempt_is_said_before_the_next(capfd: pytest.CaptureFixture[str]) -> None:
    site = Site(breaks={False})
    live = followed(site)
    live.note(attempt(1))
    live.join()

    site.breaks.clear()
    live.note(attempt(2))
    live.join()

    assert f"The output broke off after 7 bytes: {AWAY}. That was attempt 1.\n" in capfd.readouterr().err
    assert live.failure is None, "of the last attempt all came"


def test_the_rest_of_an_output_that_broke_off_is_shown_by_the_command_that_is_said(
    capfd: pytest.CaptureFixture[str],
) -> None:
    live = followed(Site(breaks={True}))
    live.note(attempt(1))
    live.join()

    live.tell_what_is_missing()

    words = f"Standard error broke off after 7 bytes: {AWAY}. `rainbow logs 7 --stderr --from 7` shows the rest.\n"
    assert words in capfd.readouterr().err


def test_an_output_that_takes_long_comes_to_its_end_while_more_of_it_comes(
    capfd: pytest.CaptureFixture[str], clock: Clock
) -> None:
    site = Site(parts=20, after_each_part=lambda: clock.move(0.9 * LAST_SECONDS))
    live = LiveOutput(cast(Any, site), 7, only=Output.OUTPUT)
    live.note(attempt(1))

    live.join()

    assert capfd.readouterr().out == "output\n" * 20
    assert live.failure is None


def test_an_output_of_which_nothing_comes_for_long_counts_as_broken_off(
    capfd: pytest.CaptureFixture[str], clock: Clock
) -> None:
    is_over = threading.Event()

    def stall() -> None:
        while not is_over.wait(0.01):
            clock.seconds += LAST_SECONDS

    live = LiveOutput(cast(Any, Site(after_each_part=stall)), 7, only=Output.OUTPUT)
    live.note(attempt(1))

    live.join()
    is_over.set()
    live.tell_what_is_missing()

    assert isinstance(live.failure, DeadlineExceeded)
    assert "The output broke off after 7 bytes: nothing more came for a long time." in capfd.readouterr().err
