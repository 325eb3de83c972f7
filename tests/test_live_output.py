"""What a command says of outputs that break off while it follows a job."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest

from rainbow.errors import DeadlineExceeded, FailedPrecondition
from rainbow.records import OutputPart
from rainbow.terminal import live_output
from rainbow.terminal.live_output import LiveOutput

AWAY = FailedPrecondition("the agent does not answer")


@dataclass
class Site:
    """In place of a client. It reads what there is of each output, and breaks off where it is said to."""

    breaks: set[bool] = field(default_factory=set)
    parts: int = 1
    pause: float = 0.0

    def read_output(self, jobid: int, *, stderr: bool, **more: Any) -> Iterator[OutputPart]:
        for number in range(self.parts):
            yield OutputPart(offset=7 * number, data=b"errors\n" if stderr else b"output\n", attempt=1)
            time.sleep(self.pause)
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
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_output, "LAST_SECONDS", 0.6)
    live = followed(Site(parts=20, pause=0.1))
    live.note(attempt(1))

    live.join()

    assert capfd.readouterr().out == "output\n" * 20
    assert live.failure is None


def test_an_output_of_which_nothing_comes_for_long_counts_as_broken_off(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_output, "LAST_SECONDS", 0.1)
    live = followed(Site(pause=3))
    live.note(attempt(1))

    live.join()
    live.tell_what_is_missing()

    assert isinstance(live.failure, DeadlineExceeded)
    assert "The output broke off after 7 bytes: nothing more came for a long time." in capfd.readouterr().err
