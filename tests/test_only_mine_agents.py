"""Two persons at one cluster, each with an agent of their own: real processes, by the local executor."""

import os
import subprocess
from pathlib import Path

import pytest

from rainbow.client import Client
from rainbow.errors import Unauthenticated
from rainbow.records import Job, JobSpec, JobState
from rainbow.reports import JobReport, ReportOutcome
from tests.support.commandline import MAIN, Run
from tests.support.patience import PATIENCE_SECONDS
from tests.support.persons import token_of_person
from tests.support.rows import execute
from tests.support.servers import RainbowServer
from tests.support.wire import Remote, new_name


def ran_out(server: RainbowServer, cluster: str, token: str, folder: Path) -> str:
    """Runs an agent of the holder's until none of their jobs waits, and returns its log."""
    words = ["agent", "--executor", "local", "--slots", "4", "--only-mine", "--once", "--state-dir", str(folder)]
    known = {"RAINBOW_HOST": server.address, "RAINBOW_CLUSTER": cluster, "RAINBOW_TOKEN": token}
    environment = {name: value for name, value in os.environ.items() if name != "RAINBOW_SECRET"} | known
    done = subprocess.run([*MAIN, *words], env=environment, capture_output=True, text=True, timeout=PATIENCE_SECONDS)
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.fixture
def people(server: RainbowServer, remote: Remote) -> dict[str, str]:
    """The tokens of two persons who may use the cluster, by name."""
    return {name: token_of_person(server, name, remote.name) for name in (new_name(), new_name())}


def submit(server: RainbowServer, cluster: str, token: str) -> int:
    with Client(server.address, cluster=cluster, token=token) as client:
        return client.submit_job(JobSpec(command="env; echo done")).jobid


def job(server: RainbowServer, remote: Remote, jobid: int) -> Job:
    with Client(server.address, cluster=remote.name, secret=remote.secret) as client:
        return client.get_jobs([jobid]).jobs[0]


def test_each_agent_runs_its_owners_jobs_alone(
    server: RainbowServer, remote: Remote, people: dict[str, str], rainbow: Run, tmp_path: Path
) -> None:
    ids = {name: submit(server, remote.name, token) for name, token in people.items()}
    of_the_cluster = submit(server, remote.name, remote.token)

    for name, token in people.items():
        ran_out(server, remote.name, token, tmp_path / name)
        assert {job(server, remote, ids[one]).state for one in people if ids[one] > ids[name]} <= {JobState.QUEUED}
        found = job(server, remote, ids[name])
        assert (found.state, found.agent.partition("/")[0]) == (JobState.COMPLETED, f"~{name}")
        assert token not in found.output

    assert job(server, remote, of_the_cluster).state == JobState.QUEUED
    columns = "last_asked_at, last_bounds, facts_at, not_ready"
    seen = execute(server.database_url, f"SELECT {columns} FROM clusters_cluster WHERE name = %s", [remote.name])
    assert seen[0][0] is None and seen[0][2] is None and not seen[0][3]


def test_a_hostile_agent_gets_nowhere_near_the_jobs_of_others(
    server: RainbowServer, remote: Remote, people: dict[str, str]
) -> None:
    (name, token), (_, other) = people.items()
    theirs = submit(server, remote.name, other)
    of_the_cluster = submit(server, remote.name, remote.token)
    with Client(server.address, cluster=remote.name, secret=token) as hostile:
        assert not hostile.request_jobs(shared=True).jobs
        assert not hostile.accept_jobs([theirs, of_the_cluster], agent=f"~{name}/x").accepted
        reports = [JobReport(jobid=one, attempt=1, state=JobState.COMPLETED) for one in (theirs, of_the_cluster)]
        results = hostile.report_jobs(reports, agent=f"~{name}/x")
        assert {one.outcome for one in results} == {ReportOutcome.UNKNOWN}
        assert not hostile.get_jobs([theirs, of_the_cluster]).jobs
        assert not list(hostile.list_jobs())
    with Client(server.address, cluster="no-such-cluster", secret=token) as lost, pytest.raises(Unauthenticated):
        lost.request_jobs()
    assert {job(server, remote, one).state for one in (theirs, of_the_cluster)} == {JobState.QUEUED}
