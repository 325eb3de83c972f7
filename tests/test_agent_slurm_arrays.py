"""The agent hands equal jobs to a real Slurm as one array, and is killed at each step: every job runs once."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rainbow.agent.context import Checkpoint
from rainbow.client import Client
from rainbow.records import JobSpec, JobState
from tests.support.executors import lines_of
from tests.support.patience import PATIENCE_SECONDS
from tests.support.servers import ROOT, RainbowServer
from tests.support.slurm_cluster import SlurmCluster, missing_commands
from tests.support.wire import Remote

pytestmark = pytest.mark.skipif(bool(missing_commands()), reason=f"Slurm is not installed: {missing_commands()}")

JOBS = 12
# A job that is withdrawn goes another way: tests/test_agent_slurm_killed.py. Of one that is over before the first poll
# none notes that it runs.
NOT_ON_THE_WAY = (Checkpoint.WITHDRAWN, Checkpoint.STARTED_NOTED, Checkpoint.STARTED_REPORTED)
MOMENTS = [moment for moment in Checkpoint if moment not in NOT_ON_THE_WAY]

Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlurmCluster]:
    running = SlurmCluster(folder=tmp_path_factory.mktemp("slurm"))
    running.start()
    yield running
    running.stop()


@pytest.fixture
def start(server: RainbowServer, remote: Remote, slurm: SlurmCluster, tmp_path: Path) -> Start:
    known = ("slurm", server.address, remote.name, remote.secret, str(tmp_path / "state"))

    def start(*doom: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "tests.support.doomed_agent", *known, *doom]
        return subprocess.Popen(command, cwd=ROOT, env=dict(slurm.environment))

    return start


@pytest.mark.parametrize("moment", MOMENTS, ids=lambda moment: moment.name.lower())
def test_an_agent_that_is_killed_when(
    server: RainbowServer, remote: Remote, start: Start, tmp_path: Path, moment: Checkpoint
) -> None:
    ran = tmp_path / "ran"
    with Client(server.address, cluster=remote.name, token=remote.token) as submitter:
        specs = [JobSpec(command=f"echo {number} >> {ran}; exit 3") for number in range(JOBS)]
        jobids = [result.jobid for result in submitter.submit_jobs(specs).results]

        assert start(moment.name).wait(PATIENCE_SECONDS) == -signal.SIGKILL
        assert start().wait(PATIENCE_SECONDS) == 0

        jobs = submitter.get_jobs(jobids).jobs
    assert sorted(map(int, lines_of(ran))) == list(range(JOBS))
    assert {(job.state, job.exit_code, job.attempt) for job in jobs} == {(JobState.FAILED, 3, 1)}
    assert {job.native_id.partition("_")[1] for job in jobs} == {"_"}, "they were tasks of arrays"
