"""A whole agent, attacked by the jobs that it runs."""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rainbow.client import Client
from rainbow.records import Job, JobSpec, JobState
from tests.support.commandline import MAIN, Run
from tests.support.replaced import TRICKS
from tests.support.servers import RainbowServer
from tests.support.wire import Remote, eventually

# What the tricks of tests/support/replaced.py are for a shell, where $output is the place and $foreign the file.
REPLACEMENTS = {
    "link_to_a_file": "ln -s $foreign $output",
    "link_to_the_environment": "ln -s /proc/self/environ $output",
    "link_to_an_endless_device": "ln -s /dev/zero $output",
    "link_to_itself": "ln -s $output $output",
    "second_name_of_a_file": "ln $foreign $output",
    "pipe_without_a_writer": "mkfifo $output",
    "folder": "mkdir $output",
    "nothing": "true",
}

Submit = Callable[[str], int]


@pytest.fixture
def client(server: RainbowServer, remote: Remote) -> Iterator[Client]:
    with Client(server.address, cluster=remote.name, token=remote.token) as client:
        yield client


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def agent(rainbow: Run, state: Path) -> Iterator[subprocess.Popen[str]]:
    """An agent that has the cluster's secret in its environment."""
    command = [*MAIN, "agent", "--executor", "local", "--slots", "4", "--lease", "10s", "--state-dir", str(state)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=dict(os.environ)) as process:
        yield process
        process.kill()


def finished(client: Client, command: str) -> Job:
    jobid = client.submit_job(JobSpec(command=command)).jobid
    eventually(lambda: client.get_jobs([jobid]).jobs[0].finished_at)
    return client.get_jobs([jobid]).jobs[0]


@pytest.mark.parametrize("trick", TRICKS)
def test_a_job_that_replaces_its_output_gets_nothing_and_harms_nobody(
    agent: subprocess.Popen[str], client: Client, remote: Remote, state: Path, tmp_path: Path, trick: object
) -> None:
    (tmp_path / "secret").write_text(remote.secret)
    replacement = REPLACEMENTS[getattr(trick, "__name__", "")]
    places = f"foreign={tmp_path}/secret; output=$(ls -d {state}/jobs/rainbow-*)/output"

    evil = finished(client, f"{places}; rm -f $output; {replacement}; sleep 1")
    good = finished(client, "echo good")

    assert remote.secret not in evil.output
    assert "RAINBOW_SECRET" not in evil.output
    assert (evil.state, good.state, good.output) == (JobState.COMPLETED, JobState.COMPLETED, "good\n")
    agent.send_signal(signal.SIGTERM)
    assert agent.wait() == 0
