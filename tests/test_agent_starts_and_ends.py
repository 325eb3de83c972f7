"""The agent's start, restart and end."""

from collections.abc import Callable
from pathlib import Path

import pytest

from rainbow.agent.identity import identity_in
from rainbow.client import Client
from rainbow.errors import FailedPrecondition, Unauthenticated
from rainbow.records import Job, JobState
from tests.support.agent_cast import Hire, key
from tests.support.agents import Crew, ScriptedExecutor, crew, local
from tests.support.executors import lines_of, until_there
from tests.support.servers import RainbowServer
from tests.support.wire import Remote, joined


def test_an_agent_keeps_its_name(tmp_path: Path) -> None:
    assert identity_in(tmp_path / "state", "login1") == identity_in(tmp_path / "state", "login1")


def test_a_restarted_agent_finds_its_jobs(hire: Hire, tmp_path: Path) -> None:
    agent = hire()
    jobid = agent.submit(f"echo ran >> {tmp_path / 'ran'}; {until_there(tmp_path / 'go')}; exit 3")
    agent.work(lambda: agent.job(jobid).state == JobState.RUNNING)

    agent.restart()
    (tmp_path / "go").touch()
    (job,) = agent.finish(jobid)

    assert (job.state, job.exit_code) == (JobState.FAILED, 3)
    assert lines_of(tmp_path / "ran") == ["ran"]


def test_nothing_is_asked_for_before_all_is_reconciled(scripted: Crew, scheduler: ScriptedExecutor) -> None:
    scheduler.silent = {"submit"}
    first = scripted.submit()
    scripted.work(lambda: scheduler.handed_over)
    scripted.restart()
    scheduler.silent = {"find"}
    second = scripted.submit()

    scripted.work_for(0.5)
    assert scripted.job(second).state == JobState.QUEUED

    scheduler.silent = set()
    scripted.work(lambda: {key(first), key(second)} <= scheduler.jobs.keys())
    assert scheduler.handed_over.count(key(first)) == 1


def test_a_refused_secret_ends_the_agent(server: RainbowServer, remote: Remote, tmp_path: Path) -> None:
    stranger = Remote(name=remote.name, token=remote.token, secret="wrong", stub=remote.stub)

    with crew(stranger, server.address, tmp_path) as agent, pytest.raises(Unauthenticated):
        agent.agent.run()


def test_a_drained_agent_takes_nothing_more_and_leaves_what_runs(hire: Hire, tmp_path: Path) -> None:
    agent = hire()
    jobid = agent.submit(f"{until_there(tmp_path / 'go')}; echo done")
    agent.work(lambda: agent.job(jobid).state == JobState.RUNNING)
    agent.agent.drain()
    agent.agent.run()
    later = agent.submit()

    assert agent.job(jobid).state == JobState.RUNNING
    assert agent.job(later).state == JobState.QUEUED
    (tmp_path / "go").touch()
    agent.restart()
    jobs: list[Job] = agent.finish(jobid, later)
    assert jobs[0].output == "done\n"


def test_an_agent_that_is_told_to_work_once_ends_when_nothing_is_left(hire: Hire) -> None:
    agent = hire()
    jobids = [agent.submit("sleep 0.2") for _ in range(12)]

    agent.agent.run(once=True)

    assert {agent.job(jobid).state for jobid in jobids} == {JobState.COMPLETED}


def test_an_agent_that_works_once_refuses_what_can_never_run(hire: Hire, tmp_path: Path) -> None:
    agent = hire(executor=local(tmp_path / "state", slots=2), interval_seconds=0.05)
    busy, too_large = agent.submit("sleep 0.3", tasks=2), agent.submit(nodes=50)

    agent.agent.run(once=True)

    assert agent.job(busy).state == JobState.COMPLETED
    assert agent.job(too_large).reason == "needs 50 slots, and this machine has 2"


def test_an_agent_that_works_once_says_when_its_scheduler_takes_nothing(
    scripted: Crew, scheduler: ScriptedExecutor
) -> None:
    jobid = scripted.submit()
    scheduler.silent = {"watch", "capacity"}

    with pytest.raises(FailedPrecondition, match="the scheduler does not answer"):
        scripted.agent.run(once=True)

    assert scripted.job(jobid).state == JobState.QUEUED


def test_a_server_that_is_away_at_the_start_is_waited_for(
    start_server: Callable[..., RainbowServer], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    server = start_server()
    with joined(server) as remote, crew(remote, server.address, tmp_path, timeout_seconds=2) as agent:
        jobid = agent.submit()
        server.kill()
        agent.work(lambda: "cannot be reached" in caplog.text)
        for _ in range(3):
            agent.agent.step()
        assert not any(message.startswith("no longer") for message in caplog.messages), "nobody has answered yet"

        again = start_server(database_url=server.database_url, address=server.address)
        with Client(again.address, cluster=remote.name, token=remote.token) as submitter:
            agent.work(lambda: submitter.get_jobs([jobid]).jobs[0].state == JobState.COMPLETED)
    assert any(record.message.startswith("no longer") for record in caplog.records)
