"""What a command says of outputs that break off while it follows a job."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest

from rainbow.errors import FailedPrecondition
from rainbow.records import OutputPart
from rainbow.terminal.live_output import LiveOutput

AWAY = FailedPrecondition("the agent does not answer")


@dataclass
class Site:
    """In place of a client. It reads what there is of each output, and breaks off where it is said to."""

    breaks: set[bool] = field(default_factory=set)

    def read_output(self, jobid: int, *, stderr: bool, **more: Any) -> Iterator[OutputPart]:
        yield OutputPart(offset=0, data=b"errors\n" if stderr else b"output\n", attempt=1)
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
