"""An agent that runs each job as its person: two persons, two Unix users, a real server, sudo and Slurm."""

import os
from collections.abc import Iterator

import pytest

from rainbow.agent.people import People, UsersFile
from rainbow.client import Client
from rainbow.executors.executor import Site
from rainbow.executors.slurm import SlurmExecutor
from rainbow.records import Job, JobSpec, JobState
from tests.support.agents import Crew, crew
from tests.support.persons import token_of_person
from tests.support.persons_cast import NEEDS_USERS, cluster, site, users
from tests.support.servers import RainbowServer
from tests.support.unix_users import UnixUsers, acting_as
from tests.support.wire import Remote

pytestmark = NEEDS_USERS
__all__ = ["cluster", "site", "users"]


@pytest.fixture
def agent(
    tokens: dict[str, str], server: RainbowServer, remote: Remote, users: UnixUsers, site: Site
) -> Iterator[Crew]:
    """As the agent's user."""
    told = users.folder / "users.toml"
    told.write_text(f'[people.ada]\nuser = "{users.ada}"\n[people.bob]\nuser = "{users.bob}"\n[people.eve]\n')
    told.chmod(0o644)
    people = People(file=UsersFile(path=told), run_as_person=True)
    with acting_as(users.agent):
        folder = users.folder / "state" / remote.name
        with crew(remote, server.address, folder, executor=SlurmExecutor(site), people=people) as made:
            yield made


def submit(agent: Crew, server: RainbowServer, remote: Remote, token: str, command: str) -> int:
    with Client(server.address, cluster=remote.name, token=token) as client:
        return client.submit_job(JobSpec(command=command)).jobid


def ended(agent: Crew, *jobids: int) -> list[Job]:
    agent.work(lambda: all(job.finished_at for job in agent.agents_client.get_jobs(list(jobids)).jobs))
    return sorted(agent.agents_client.get_jobs(list(jobids)).jobs, key=lambda job: job.id)


@pytest.fixture
def tokens(server: RainbowServer, remote: Remote) -> dict[str, str]:
    return {name: token_of_person(server, name, remote.name) for name in ("ada", "bob", "eve")}


def test_each_persons_job_runs_as_that_persons_user(
    tokens: dict[str, str], agent: Crew, server: RainbowServer, remote: Remote, users: UnixUsers
) -> None:
    assert os.geteuid() != 0
    ids = [submit(agent, server, remote, tokens[name], "id -un; pwd") for name in ("ada", "bob", "eve")]
    ids.append(agent.submit("id -un"))

    adas, bobs, eves, nobodys = ended(agent, *ids)

    assert (adas.owner, adas.output) == ("ada", f"{users.ada}\n/home/{users.ada}\n")
    assert (bobs.owner, bobs.output) == ("bob", f"{users.bob}\n/home/{users.bob}\n")
    assert (eves.state, eves.reason) == (JobState.FAILED, "this cluster has no Unix user for eve")
    assert (nobodys.state, nobodys.owner) == (JobState.FAILED, "")
    assert "this one is no person's" in nobodys.reason


def test_a_job_is_cancelled_as_its_user(
    tokens: dict[str, str], agent: Crew, server: RainbowServer, remote: Remote
) -> None:
    jobid = submit(agent, server, remote, tokens["ada"], "sleep 600")
    agent.work(lambda: agent.agents_client.get_jobs([jobid]).jobs[0].state == JobState.RUNNING)

    agent.agents_client.cancel_jobs([jobid])

    assert [job.state for job in ended(agent, jobid)] == [JobState.CANCELLED]
