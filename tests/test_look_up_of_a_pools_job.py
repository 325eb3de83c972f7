"""What an agent takes from the server as the content of a pool's job that it accepted."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rainbow.client import Client
from rainbow.records import FoundJobs, JobSpec, JobState
from rainbow.reports import JobReport, Return
from tests.support.agents import Crew, ScriptedExecutor, crew
from tests.support.servers import RainbowServer
from tests.support.wire import Remote
from tests.test_agent_pools import pooled


@pytest.fixture
def agent(server: RainbowServer, remote: Remote, tmp_path: Path) -> Iterator[Crew]:
    with crew(remote, server.address, tmp_path, executor=ScriptedExecutor()) as one:
        yield one


def test_a_job_that_the_clusters_other_agent_has_by_now_is_left_to_it(
    server: RainbowServer, remote: Remote, agent: Crew, monkeypatch: pytest.MonkeyPatch
) -> None:
    look_up = Client.get_jobs
    moved: list[int] = []

    def move_to_the_other(jobid: int) -> None:
        with Client(server.address, cluster=remote.name, secret=remote.secret) as other:
            back = JobReport(jobid=jobid, attempt=1, state=JobState.ACCEPTED, returned=Return.NOT_STARTED)
            other.report_jobs([back], agent="the-other")
            taken = other.accept_jobs([jobid], agent="the-other", lease_seconds=3600).accepted
            moved.extend(job.attempt for job in taken)

    def late(self: Client, jobids: Any, **how: Any) -> FoundJobs:
        if self is agent.agents_client and not moved:
            move_to_the_other(*jobids)
        return look_up(self, jobids, **how)

    monkeypatch.setattr(Client, "get_jobs", late)
    with pooled(server, remote.name) as pool:
        jobid = pool.submit_job(JobSpec(command="true")).jobid
        agent.work(lambda: moved)
        agent.work_for(0.3)
        job = pool.get_jobs([jobid]).jobs[0]

    assert moved == [2]
    assert agent.executor.handed_over == []
    assert (job.agent, job.attempt, job.state) == ("the-other", 2, JobState.ACCEPTED)
