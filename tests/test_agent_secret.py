"""The agent's secret: what happens when it is rotated under a running agent."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rainbow.client import Client
from rainbow.config import read_file
from rainbow.errors import Unauthenticated
from rainbow.records import CredentialKind, JobSpec, JobState
from tests.support.agents import Crew, crew
from tests.support.commandline import MAIN, Run
from tests.support.servers import RainbowServer
from tests.support.wire import Remote, eventually


@pytest.fixture
def agent(server: RainbowServer, remote: Remote, tmp_path: Path) -> Iterator[Crew]:
    """An agent to which the server has answered before."""
    with crew(remote, server.address, tmp_path) as agent:
        agent.finish(agent.submit("true"))
        yield agent


def rotated(crew: Crew) -> str:
    """The cluster's new secret; the one that the agent has ends at once."""
    return crew.client.rotate_credential(CredentialKind.SECRET, grace_seconds=0).credential


def test_an_agent_goes_on_when_its_secret_is_rotated_and_saved(
    stranger: Run, config_file: Path, server: RainbowServer, tmp_path: Path
) -> None:
    assert stranger("register", "--cluster-name", "rotated-under-way", "--save").exit_code == 0
    token = read_file(config_file)["clusters"]["rotated-under-way"]["token"]
    command = [*MAIN, "agent", "--executor", "local", "--state-dir", str(tmp_path / "state")]
    with (
        Client(server.address, cluster="rotated-under-way", token=token) as client,
        subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=dict(os.environ)) as agent,
    ):
        before = client.submit_job(JobSpec(command="true")).jobid
        eventually(lambda: client.get_jobs([before]).jobs[0].state == JobState.COMPLETED)

        assert stranger("rotate", "secret", "--save", "--grace", "0").exit_code == 0
        after = client.submit_job(JobSpec(command="true")).jobid
        eventually(lambda: client.get_jobs([after]).jobs[0].state == JobState.COMPLETED or agent.poll() is not None)

        assert client.get_jobs([after]).jobs[0].state == JobState.COMPLETED
        agent.send_signal(signal.SIGTERM)
        _, log = agent.communicate()
    assert agent.returncode == 0
    assert "reading the secret again" in log


def test_a_secret_that_is_saved_a_moment_later_is_waited_for(agent: Crew) -> None:
    new = rotated(agent)
    agent.clock.stop()
    agent.clock.move(80)
    agent.work_for(0.5)

    agent.clock.go_on()
    agent.read_secret = lambda: new
    agent.finish(agent.submit("true"))


def test_an_agent_gives_up_when_no_other_secret_is_to_be_had(agent: Crew) -> None:
    rotated(agent)
    agent.clock.stop()
    agent.clock.move(80)
    agent.work_for(0.5)
    agent.clock.move(80)

    with pytest.raises(Unauthenticated):
        agent.work(lambda: False)


def test_an_agent_that_runs_jobs_as_root_says_so(stranger: Run, config_file: Path, tmp_path: Path) -> None:
    assert stranger("register", "--cluster-name", "of-root", "--save").exit_code == 0

    done = subprocess.run(
        [*MAIN, "agent", "--executor", "local", "--once", "--state-dir", str(tmp_path / "state")],
        stderr=subprocess.PIPE,
        text=True,
        env=dict(os.environ),
    )

    assert done.returncode == 0
    assert ("WARNING jobs run as root: " in done.stderr) == (os.geteuid() == 0)


# Root without the rights that only root has looks no further than others; those who look are jobs of the agent's user.
UNPRIVILEGED = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []
TRACE = "import ctypes, sys; sys.exit(ctypes.CDLL(None).ptrace(0x4206, int(sys.argv[1]), 0, 0) != 0)"  # PTRACE_SEIZE
LOOKS = (
    "for file in environ maps mem fdinfo/0; do head -c 1 /proc/{pid}/$file; done 2>&1; readlink /proc/{pid}/fd/*;"
    f' {sys.executable} -c "{TRACE}" {{pid}} || echo not traced; tr "\\\\0" " " < /proc/{{pid}}/cmdline'
)


@pytest.mark.parametrize("source", ["standard input", "environment"])
def test_a_job_finds_the_secret_nowhere_in_its_agent(
    remote: Remote, server: RainbowServer, tmp_path: Path, source: str
) -> None:
    known = {"RAINBOW_HOST": server.address, "RAINBOW_CLUSTER": remote.name, "RAINBOW_CONFIG": str(tmp_path / "none")}
    words = ["--executor", "local", "--state-dir", str(tmp_path / "state")]
    if source == "environment":
        known["RAINBOW_SECRET"] = remote.secret
    else:
        words += ["--request-secret-file", "-"]
    command = [*UNPRIVILEGED, *MAIN, "agent", *words]
    with (
        Client(server.address, cluster=remote.name, token=remote.token) as client,
        subprocess.Popen(command, stdin=subprocess.PIPE, text=True, env={**os.environ, **known}) as agent,
    ):
        try:
            assert agent.stdin
            agent.stdin.write(f"{remote.secret}\n")
            agent.stdin.flush()
            jobid = client.submit_job(JobSpec(command=LOOKS.format(pid=agent.pid))).jobid
            eventually(lambda: client.get_jobs([jobid]).jobs[0].finished_at)
        finally:
            agent.kill()

        output = client.get_jobs([jobid]).jobs[0].output

    assert output.count("Permission denied") == 4
    assert "not traced" in output
    assert "agent --executor local" in output
    assert "pipe" not in output
    assert remote.secret not in output
