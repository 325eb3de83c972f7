"""Agents of two clusters and a pool of both: each job runs once, where it may."""

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from rainbow.agent.policy import Policy
from rainbow.client import Client
from rainbow.errors import Unavailable
from rainbow.executors.endings import withdrawn
from rainbow.executors.executor import Capacity, WorkRefused
from rainbow.records import JobSpec, JobState
from tests.support.agent_cast import SUCCESS, key
from tests.support.agents import Crew, ScriptedExecutor, crew, ended
from tests.support.patience import PATIENCE_SECONDS
from tests.support.rows import execute
from tests.support.servers import MANAGE, RainbowServer, environment_for
from tests.support.wire import Remote, eventually, new_name

Both = tuple[Crew, Crew]
ASKED = "SELECT last_asked_at FROM clusters_cluster WHERE name = %s"


@pytest.fixture
def pool(server: RainbowServer, remote: Remote, other_remote: Remote) -> Iterator[Client]:
    """A submitter to a pool of the two clusters."""
    with pooled(server, remote.name, other_remote.name) as client:
        yield client


@contextmanager
def pooled(server: RainbowServer, *members: str) -> Iterator[Client]:
    name = new_name()
    command = [*MANAGE, "pool", "create", name, *members, "--json"]
    environment = environment_for(server.database_url)
    made = subprocess.run(command, env=environment, check=True, capture_output=True, timeout=PATIENCE_SECONDS)
    with Client(server.address, cluster=name, token=json.loads(made.stdout)["token"]) as client:
        yield client


@pytest.fixture
def hire_both(
    server: RainbowServer, remote: Remote, other_remote: Remote, tmp_path: Path
) -> Iterator[Callable[..., Both]]:
    with ExitStack() as stack:

        def make(first: dict[str, Any] | None = None, second: dict[str, Any] | None = None) -> Both:
            members = [(remote, "one", first or {}), (other_remote, "other", second or {})]
            one, other = (
                stack.enter_context(
                    crew(cluster, server.address, tmp_path / folder, **{"executor": ScriptedExecutor(), **options})
                )
                for cluster, folder, options in members
            )
            return one, other

        yield make


def job_of(pool: Client, jobid: int) -> Any:
    return pool.get_jobs([jobid]).jobs[0]


def test_a_job_of_a_pool_runs_with_all_that_its_submitter_said(pool: Client, hire_both: Callable[..., Both]) -> None:
    agent, _ = hire_both()
    spec = JobSpec(command="echo secret", environment={"KEY": "1"}, working_directory="/tmp", tasks=2)
    jobid = pool.submit_job(spec).jobid

    agent.work(lambda: key(jobid) in agent.executor.jobs)
    agent.executor.progress[key(jobid)] = ended(agent.clock.now(), **SUCCESS)
    agent.work(lambda: job_of(pool, jobid).state == JobState.COMPLETED)

    work = agent.executor.jobs[key(jobid)]
    assert (work.command, work.environment["KEY"], work.working_directory, work.tasks) == (
        "echo secret", "1", "/tmp", 2,
    )  # fmt: skip
    job = job_of(pool, jobid)
    assert (job.cluster, job.pool) == (agent.agents_client.cluster, pool.cluster)


def test_what_a_site_refuses_runs_at_the_other(pool: Client, hire_both: Callable[..., Both]) -> None:
    strict, other = hire_both({"policy": Policy(allowed_commands=(re.compile("nothing"),))})
    jobid = pool.submit_job(JobSpec(command="true")).jobid

    strict.work(lambda: job_of(pool, jobid).attempt == 2)
    strict.work_for(0.3)
    other.work(lambda: other.executor.jobs)

    assert not strict.executor.handed_over
    assert list(other.executor.jobs) == [f"rainbow-{jobid}-2"]
    whys = [event.why for event in pool.get_jobs([jobid], with_events=True).jobs[0].events]
    assert "the command is none of those that this cluster allows" in whys


def test_what_all_refuse_fails_with_the_words_of_the_last(pool: Client, hire_both: Callable[..., Both]) -> None:
    one, other = hire_both()
    for agent in (one, other):
        agent.executor.mishaps["true"] = WorkRefused("no such account")
    jobid = pool.submit_job(JobSpec(command="true")).jobid

    one.work(lambda: job_of(pool, jobid).attempt == 2)
    other.work(lambda: job_of(pool, jobid).state == JobState.FAILED)

    assert job_of(pool, jobid).reason == "no such account"


def test_what_does_not_start_in_time_at_one_runs_at_the_other(pool: Client, hire_both: Callable[..., Both]) -> None:
    one, other = hire_both()
    jobid = pool.submit_job(JobSpec(command="true", start_within_seconds=60)).jobid
    one.work(lambda: job_of(pool, jobid).native_id == f"native-{key(jobid)}")

    one.clock.move(61)
    one.work(lambda: one.executor.withdrawn)
    one.executor.progress[key(jobid)] = withdrawn()
    one.work(lambda: job_of(pool, jobid).attempt == 2)
    one.work_for(0.3)
    other.work(lambda: other.executor.jobs)

    assert one.executor.handed_over == [key(jobid)]
    assert list(other.executor.jobs) == [f"rainbow-{jobid}-2"]


def test_of_two_agents_one_runs_each_job(pool: Client, hire_both: Callable[..., Both]) -> None:
    one, other = hire_both()
    for agent in (one, other):
        agent.executor.free = Capacity(nodes=100, slots=100)
    jobids = [result.jobid for result in pool.submit_jobs([JobSpec(command="true")] * 40).results]

    def all_taken() -> bool:
        one.agent.step()
        other.agent.step()
        return len(one.executor.jobs) + len(other.executor.jobs) >= 40

    eventually(all_taken)

    taken = sorted([*one.executor.jobs, *other.executor.jobs])
    assert taken == sorted(map(key, jobids))


def test_a_job_whose_content_could_not_be_looked_up_is_found_again(
    pool: Client, hire_both: Callable[..., Both], monkeypatch: pytest.MonkeyPatch
) -> None:
    agent, _ = hire_both()
    look_up = Client.get_jobs
    failures = iter([Unavailable("gone for a moment")])

    def once(self: Client, jobids: Any, **how: Any) -> Any:
        if self is agent.agents_client:
            for failure in failures:
                raise failure
        return look_up(self, jobids, **how)

    monkeypatch.setattr(Client, "get_jobs", once)
    jobid = pool.submit_job(JobSpec(command="echo once")).jobid

    agent.work(lambda: key(jobid) in agent.executor.jobs)

    assert agent.executor.jobs[key(jobid)].command == "echo once"
    assert agent.executor.handed_over == [key(jobid)]


def test_a_call_that_waits_since_before_its_cluster_was_in_the_pool_gets_its_jobs(
    server: RainbowServer, remote: Remote
) -> None:
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(remote.request, shared=True, wait_seconds=300)
        eventually(lambda: execute(server.database_url, ASKED, [remote.name])[0][0])
        with pooled(server, remote.name) as submitter:
            jobid = submitter.submit_job(JobSpec(command="true")).jobid

        assert list(waiting.result(PATIENCE_SECONDS).jobids) == [jobid]
