"""An agent whose machine's clock is set: leases, heartbeats and polls go on by the time that passes."""

import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from rainbow.agent.context import AgentContext, AgentSettings
from rainbow.agent.steady_clock import SteadyClock
from rainbow.errors import Unavailable
from rainbow.records import JobState
from tests.support.agent_cast import RUNNING, SUCCESS, handed_over, key
from tests.support.agents import Clock, Crew, ScriptedExecutor, ended

HOUR = 3600
STEPS = pytest.mark.parametrize("step", [-HOUR, HOUR], ids=["back", "forward"])


@dataclass(slots=True)
class Elapsed:
    ahead: float = 0.0

    def seconds(self) -> float:
        return time.monotonic() + self.ahead


@pytest.fixture
def elapsed() -> Elapsed:
    return Elapsed()


@pytest.fixture
def steady(scripted: Crew, elapsed: Elapsed) -> Crew:
    restart(scripted, elapsed)
    return scripted


def restart(crew: Crew, elapsed: Elapsed) -> None:
    crew.steady_clock = SteadyClock(
        not_before=crew.journal.latest(), wall_clock=crew.clock.now, elapsed_seconds=elapsed.seconds
    )
    crew.restart()


def away(*args: Any, **more: Any) -> Any:
    raise Unavailable("away")


@STEPS
def test_a_job_is_polled_and_reported_though_the_clock_is_set(
    steady: Crew, scheduler: ScriptedExecutor, elapsed: Elapsed, step: int
) -> None:
    jobid = handed_over(steady)
    scheduler.progress[key(jobid)] = RUNNING
    steady.work(lambda: steady.job(jobid).state == JobState.RUNNING)

    steady.clock.move(step)
    steady.client.cancel_jobs([jobid])
    elapsed.ahead += 16
    steady.work(lambda: scheduler.cancelled)
    scheduler.progress[key(jobid)] = ended(steady.clock.now(), **SUCCESS)

    assert steady.finish(jobid)[0].state == JobState.COMPLETED


def test_nothing_is_handed_over_on_a_lease_that_is_over_though_the_clock_was_set_back(
    steady: Crew, scheduler: ScriptedExecutor, elapsed: Elapsed, monkeypatch: pytest.MonkeyPatch
) -> None:
    scheduler.silent = {"submit"}
    steady.submit()
    steady.work(lambda: scheduler.handed_over)
    scheduler.jobs.clear()
    scheduler.silent = set()

    monkeypatch.setattr(steady.agent._context.client, "report_jobs", away)
    elapsed.ahead += 301
    steady.clock.move(-HOUR)
    steady.work_for(0.3)

    assert scheduler.jobs == {}


def test_what_an_agent_noted_whose_clock_was_ahead_is_overdue_in_time(
    scripted: Crew, scheduler: ScriptedExecutor, elapsed: Elapsed
) -> None:
    scripted.clock.move(HOUR)
    restart(scripted, elapsed)
    jobid = handed_over(scripted, start_within_seconds=600)
    scripted.clock.move(-HOUR)
    restart(scripted, elapsed)

    elapsed.ahead += 601

    scripted.work(lambda: scheduler.withdrawn == [key(jobid)])


def test_a_machine_that_starts_with_its_clock_behind_keeps_what_jobs_wrote_when_that_is_set(
    steady: Crew, scheduler: ScriptedExecutor, elapsed: Elapsed
) -> None:
    jobid = handed_over(steady)
    scheduler.progress[key(jobid)] = ended(steady.clock.now(), **SUCCESS)
    steady.finish(jobid)
    steady.clock.move(-HOUR)
    restart(steady, elapsed)
    steady.work_for(0.2)

    steady.clock.move(HOUR)
    elapsed.ahead += 6
    steady.work_for(0.2)
    kept = not scheduler.forgotten
    elapsed.ahead += 301

    steady.work(lambda: scheduler.forgotten == [key(jobid)])
    assert kept


@pytest.mark.parametrize(("step", "passed"), [(-HOUR, 10), (HOUR, HOUR)], ids=["back", "forward"])
def test_a_steady_clock_never_goes_back_and_counts_a_step_forward(elapsed: Elapsed, step: int, passed: int) -> None:
    wall = Clock()
    clock = SteadyClock(wall_clock=wall.now, elapsed_seconds=elapsed.seconds)
    before = clock.now()

    wall.move(step)
    elapsed.ahead += 10
    first, second = clock.now(), clock.now()

    assert passed <= (first - before).total_seconds() < passed + HOUR / 2
    assert timedelta(0) <= second - first < timedelta(seconds=HOUR / 2)


def test_a_machine_that_stood_still_is_found_out_after_its_clock_was_set_back(elapsed: Elapsed) -> None:
    wall = Clock()
    clock = SteadyClock(wall_clock=wall.now, elapsed_seconds=elapsed.seconds)
    wall.move(-HOUR)
    before = clock.now()

    wall.move(600)

    assert 600 <= (clock.now() - before).total_seconds() < HOUR / 2


def test_an_agent_measures_leases_by_a_steady_clock(scripted: Crew) -> None:
    context = AgentContext(client=scripted.client, executor=ScriptedExecutor(), settings=AgentSettings(agent="a"))

    assert isinstance(getattr(context.clock, "__self__", None), SteadyClock)
