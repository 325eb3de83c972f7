"""The order of the agent's duties, and what becomes of those that fail."""

import logging
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rainbow.agent.context import Checkpoint
from rainbow.agent.round import Duty, Round
from rainbow.errors import PermissionDenied, RainbowError, Unavailable
from rainbow.executors.executor import SchedulerSilent
from tests.support.agents import ScriptedExecutor, crew
from tests.support.servers import RainbowServer
from tests.support.wire import joined


class Case:
    """A round of duties that note that they were done, or raise what the test put into `failures`."""

    def __init__(self, *names: str, asking: tuple[str, ...] = ()) -> None:
        self.failures: dict[str, Exception] = {}
        self.done: list[str] = []
        self.client: Any = SimpleNamespace(answers=0)
        renewal: Any = SimpleNamespace(is_worth_a_try=lambda: False)
        duties = [Duty(self._duty(name), asks_scheduler=name in asking) for name in names]
        self.round = Round(duties, self.client, renewal)

    def run(self) -> list[str]:
        self.done.clear()
        self.round.run()
        return list(self.done)

    def _duty(self, name: str) -> Callable[[], bool]:
        def do() -> bool:
            self.done.append(name)
            if failure := self.failures.get(name):
                raise failure
            return False

        return do


@pytest.mark.parametrize("failure", [Unavailable("away"), RainbowError("odd"), KeyError("a bug")])
def test_a_duty_that_fails_keeps_no_other_from_being_done(failure: Exception) -> None:
    case = Case("watch", "report", "submit")
    case.failures["watch"] = failure

    assert case.run() == ["watch", "report", "submit"]
    assert case.round.has_trouble()


def test_a_silent_scheduler_is_asked_once_in_a_round() -> None:
    case = Case("watch", "report", "submit", asking=("watch", "submit"))
    case.failures["watch"] = SchedulerSilent("no answer")

    assert case.run() == ["watch", "report"]
    case.failures.clear()
    assert case.run() == ["watch", "report", "submit"]


def test_what_trying_again_does_not_help_against_ends_the_round() -> None:
    case = Case("watch", "report")
    case.failures["watch"] = PermissionDenied("no")

    with pytest.raises(PermissionDenied):
        case.run()


def test_trouble_is_logged_once_and_once_when_it_is_over(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="rainbow.agent")
    case = Case("report")

    case.failures["report"] = Unavailable("the server is away")
    case.run()
    case.run()
    case.failures.clear()
    case.run()
    still = case.round.has_trouble()
    case.client.answers += 1
    case.run()
    case.run()

    assert still, "a duty that asked nothing does not know whether the server is back"
    assert caplog.messages == ["the server is away", "no longer: the server is away"]


def test_a_job_gets_from_the_offer_to_the_scheduler_in_one_round(server: RainbowServer, tmp_path: Path) -> None:
    moments: list[Checkpoint] = []
    with joined(server) as cluster, crew(cluster, server.address, tmp_path, executor=ScriptedExecutor()) as beside:
        beside.submit()
        beside.checkpoint = moments.append
        beside.work(lambda: Checkpoint.OFFERED in moments)

    assert moments[moments.index(Checkpoint.OFFERED) :] == [
        Checkpoint.OFFERED,
        Checkpoint.ACCEPTED,
        Checkpoint.ACCEPTED_NOTED,
        Checkpoint.SUBMITTING_NOTED,
        Checkpoint.ANNOUNCED,
        Checkpoint.SUBMITTED,
        Checkpoint.SUBMITTED_NOTED,
    ]
