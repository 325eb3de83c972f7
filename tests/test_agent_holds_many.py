"""What an agent does not do again and again for each of thousands of jobs."""

import time

import pytest

from rainbow.agent import reporter
from rainbow.agent.held_jobs import HeldJob
from rainbow.agent.job_reports import report_of
from rainbow.reports import JobReport
from tests.support.agent_cast import RUNNING, handed_over, key
from tests.support.agents import Crew, ScriptedExecutor


def test_no_report_is_made_of_a_job_that_did_not_change(
    scripted: Crew, scheduler: ScriptedExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobid = handed_over(scripted)
    scheduler.progress[key(jobid)] = RUNNING
    scripted.work(lambda: scripted.job(jobid).started_at)
    scripted.agent.step()
    made: list[str] = []

    def noted(held: HeldJob) -> JobReport:
        made.append(held.key)
        return report_of(held)

    monkeypatch.setattr(reporter, "report_of", noted)
    polls = scheduler.calls.count("watch")
    while scheduler.calls.count("watch") < polls + 3:
        scripted.clock.move(0.1)
        scripted.agent.step()
    before_heartbeat = list(made)
    scripted.clock.move(15)
    scripted.agent.step()

    assert before_heartbeat == []
    assert made


def test_polls_that_take_much_of_the_processor_are_rarer(scripted: Crew, scheduler: ScriptedExecutor) -> None:
    jobid = handed_over(scripted)
    scheduler.progress[key(jobid)] = RUNNING
    scripted.work(lambda: scripted.job(jobid).started_at)
    scheduler.before_each = lambda: _burn(0.2) if scheduler.calls[-1] == "watch" else None
    scripted.clock.move(1)
    scripted.agent.step()
    polls = scheduler.calls.count("watch")

    for _ in range(3):
        scripted.clock.move(0.1)
        scripted.agent.step()
    soon = scheduler.calls.count("watch")
    scripted.clock.move(15)
    scripted.agent.step()

    assert soon == polls
    assert scheduler.calls.count("watch") == polls + 1


def _burn(seconds: float) -> None:
    until = time.process_time() + seconds
    while time.process_time() < until:
        pass
