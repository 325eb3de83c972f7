"""The agent is killed while it withdraws a job from a real Slurm, and before the server knows of it."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rainbow.client import Client
from rainbow.records import JobSpec, JobState
from tests.support.executors import lines_of, until_there, wait_until
from tests.support.patience import PATIENCE_SECONDS
from tests.support.servers import ROOT, RainbowServer
from tests.support.slurm_cluster import NODES, SlurmCluster, missing_commands
from tests.support.wire import Remote

pytestmark = pytest.mark.skipif(bool(missing_commands()), reason=f"Slurm is not installed: {missing_commands()}")

# From the first call to the last before the journal knows that the server took the job back, as counted.
CALLS = (1, 60, 120, 161, 384, 590)

Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlurmCluster]:
    running = SlurmCluster(folder=tmp_path_factory.mktemp("slurm"))
    running.start()
    yield running
    running.stop()


@pytest.fixture
def go(slurm: SlurmCluster, tmp_path: Path) -> Path:
    """All nodes are in use until this file is there."""
    go = tmp_path / "go"
    command = ("sbatch", "--partition=debug", f"--nodes={NODES}", "--exclusive", "--output=/dev/null", "--parsable")
    number = slurm.run(*command, f"--wrap={until_there(go)}").strip()
    wait_until(lambda: "RUNNING" in slurm.run("squeue", "--noheader", f"--jobs={number}", "--format=%T"))
    return go


@pytest.fixture
def start(server: RainbowServer, remote: Remote, slurm: SlurmCluster, tmp_path: Path) -> Start:
    known = (server.address, remote.name, remote.secret, str(tmp_path / "state"))

    def start(*doom: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "tests.support.withdrawing_agent", *known, *doom]
        return subprocess.Popen(command, cwd=ROOT, env=dict(slurm.environment))

    return start


@pytest.mark.parametrize("call", CALLS)
def test_an_agent_that_is_killed_while_it_withdraws_a_job(
    server: RainbowServer, remote: Remote, start: Start, go: Path, tmp_path: Path, call: int
) -> None:
    ran = tmp_path / "ran"
    with Client(server.address, cluster=remote.name, token=remote.token) as submitter:
        jobid = submitter.submit_job(JobSpec(command=f"echo ran >> {ran}", start_within_seconds=60)).jobid

        assert start(str(call)).wait(PATIENCE_SECONDS) == -signal.SIGKILL
        successor = start()
        wait_until(lambda: submitter.get_jobs([jobid]).jobs[0].attempt == 2)
        go.touch()

        assert successor.wait(PATIENCE_SECONDS) == 0
        job = submitter.get_jobs([jobid]).jobs[0]
    assert (job.state, job.attempt) == (JobState.COMPLETED, 2)
    assert lines_of(ran) == ["ran"]
