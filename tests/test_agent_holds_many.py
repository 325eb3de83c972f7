"""What an agent does not do again and again for each of thousands of jobs."""

import time
from collections.abc import Sequence
from typing import Any

import pytest

from rainbow.agent import monitor, reporter
from rainbow.agent.held_job import HeldJob
from rainbow.agent.job_reports import report_of
from rainbow.executors.executor import Access, Ticket
from rainbow.executors.folders import Listed
from rainbow.reports import JobReport
from tests.support.agent_cast import RUNNING, SUCCESS, Hire, handed_over, key
from tests.support.agents import Crew, ScriptedExecutor, ended


def running(crew: Crew, scheduler: ScriptedExecutor, **more: Any) -> int:
    jobid = handed_over(crew, **more)
    scheduler.progress[key(jobid)] = RUNNING
    crew.work(lambda: crew.job(jobid).started_at)
    return jobid


def test_no_report_is_made_of_a_job_that_did_not_change(
    scripted: Crew, scheduler: ScriptedExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    running(scripted, scheduler)
    scripted.clock.stop()
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


def test_the_outputs_of_one_report_are_read_at_a_time(
    scripted: Crew, scheduler: ScriptedExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobids = [running(scripted, scheduler) for _ in range(6)]
    happened: list[str] = []
    client = scripted.agent._context.client
    read, send = scheduler.output, client.report_jobs

    def noted_read(_: ScriptedExecutor, ticket: Ticket) -> str:
        happened.append("read")
        return read(ticket)

    def noted_send(*reports: Any, **more: Any) -> Any:
        happened.append("sent")
        return send(*reports, **more)

    monkeypatch.setattr(reporter, "MOST_REPORTS", 2)
    monkeypatch.setattr(ScriptedExecutor, "output", noted_read)
    monkeypatch.setattr(client, "report_jobs", noted_send)
    for jobid in jobids:
        scheduler.progress[key(jobid)] = ended(scripted.clock.now(), **SUCCESS)
    scripted.clock.move(1)
    scripted.finish(*jobids)

    # The first that has no room any more is read, too.
    assert happened[: happened.index("sent")] == ["read"] * 3


def test_jobs_whose_files_take_long_to_list_keep_no_heartbeat_of_others(
    scripted: Crew, scheduler: ScriptedExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = [running(scripted, scheduler, outputs=("*",)) for _ in range(3)]
    other = running(scripted, scheduler)
    sent: list[list[int]] = []
    client = scripted.agent._context.client
    send = client.report_jobs

    def noted_send(reports: Sequence[JobReport], **more: Any) -> Any:
        sent.append([report.jobid for report in reports])
        return send(reports, **more)

    def listed(*_: Any, **more: Any) -> Listed:
        scripted.clock.move(16)
        return Listed(files=(), more=False)

    monkeypatch.setattr(client, "report_jobs", noted_send)
    monkeypatch.setattr(ScriptedExecutor, "files", listed)
    for jobid in slow:
        scheduler.progress[key(jobid)] = ended(scripted.clock.now(), **SUCCESS)
    scripted.clock.move(16)
    for _ in slow:
        scripted.agent.step()

    assert sent[0][0] == other, "before those that take long"
    assert [len(set(jobids).intersection(slow)) for jobids in sent] == [1, 1, 1]
    assert other in sent[2], "whose next heartbeat is due"


def test_a_round_without_news_looks_at_no_job(
    scripted: Crew, scheduler: ScriptedExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobid = running(scripted, scheduler)
    scripted.clock.stop()
    scripted.agent.step()
    looked_at: list[str] = []

    def looks(held: HeldJob) -> tuple[object, ...]:
        looked_at.append(held.key)
        return (held.stage,)

    monkeypatch.setattr(HeldJob, "looks", property(looks))
    for _ in range(3):
        scripted.clock.move(0.1)
        scripted.agent.step()
    without_news = list(looked_at)
    scripted.clock.go_on()
    scheduler.progress[key(jobid)] = ended(scripted.clock.now(), **SUCCESS)
    scripted.clock.move(1)
    scripted.finish(jobid)

    assert without_news == []
    assert looked_at


def test_polls_that_take_much_of_the_processor_are_rarer(scripted: Crew, scheduler: ScriptedExecutor) -> None:
    running(scripted, scheduler)
    scripted.clock.stop()
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


def test_after_a_change_the_scheduler_is_polled_soon_and_then_less_and_less(
    hire: Hire, scheduler: ScriptedExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A poll that a busy machine interrupts would count as one that keeps the scheduler busy.
    monkeypatch.setattr(monitor, "BUSY", 0)
    crew = hire(executor=scheduler, interval_seconds=1.0)
    jobid = handed_over(crew)
    crew.clock.stop()
    scheduler.progress[key(jobid)] = RUNNING
    crew.clock.move(1)
    crew.agent.step()
    rests: list[float] = []
    for _ in range(6):
        rests.append(crew.agent._monitor.seconds_to_poll())
        crew.clock.move(rests[-1] + 0.001)
        crew.agent.step()

    assert 0 < rests[0] <= 0.1 < rests[1] <= 0.2 < rests[2] <= 0.4 < rests[3] <= 0.8
    assert all(0.9 < rest <= 1.0 for rest in rests[4:])


def test_a_scheduler_that_tells_of_ends_is_polled_at_the_interval(hire: Hire, scheduler: ScriptedExecutor) -> None:
    scheduler.access = Access(description="by the test", tells_ends=True)
    crew = hire(executor=scheduler, interval_seconds=1.0)

    handed_over(crew)
    crew.clock.stop()
    crew.clock.move(1)
    crew.agent.step()

    assert crew.agent._monitor.seconds_to_poll() == 1.0


def test_a_poll_that_cannot_be_made_is_not_waited_for_without_rest(hire: Hire, scheduler: ScriptedExecutor) -> None:
    crew = hire(executor=scheduler, interval_seconds=1.0)
    handed_over(crew)
    crew.agent.step()
    scheduler.silent = {"watch"}
    crew.clock.move(1)

    crew.agent.step()
    crew.clock.move(5)

    assert crew.agent._monitor.seconds_to_poll() == 1.0
