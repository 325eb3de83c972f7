"""rainbow agent, as a process of its own."""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rainbow.client import Client
from rainbow.records import JobSpec, JobState
from tests.support.commandline import MAIN, Run, answer
from tests.support.executors import until_there
from tests.support.patience import PATIENCE_SECONDS
from tests.support.servers import RainbowServer
from tests.support.wire import Remote, eventually

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def client(server: RainbowServer, remote: Remote) -> Iterator[Client]:
    with Client(server.address, cluster=remote.name, token=remote.token) as client:
        yield client


@pytest.fixture
def start(rainbow: Run, tmp_path: Path) -> Iterator[Start]:
    """Start an agent of this machine, with further words."""
    started: list[subprocess.Popen[str]] = []

    def start(*words: str) -> subprocess.Popen[str]:
        command = [*MAIN, "agent", "--executor", "local", "--slots", "4", "--state-dir", str(tmp_path / "state")]
        started.append(subprocess.Popen([*command, *words], stderr=subprocess.PIPE, text=True, env=dict(os.environ)))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_it_drains_when_it_is_told_to_stop(start: Start, client: Client, tmp_path: Path) -> None:
    jobid = client.submit_job(JobSpec(command=f"{until_there(tmp_path / 'go')}; echo done")).jobid
    agent = start()
    eventually(lambda: client.get_jobs([jobid]).jobs[0].state == JobState.RUNNING)

    agent.send_signal(signal.SIGTERM)
    _, log = agent.communicate(timeout=PATIENCE_SECONDS)

    assert agent.returncode == 0
    assert "stopped; 1 jobs go on without the agent" in log
    assert client.get_jobs([jobid]).jobs[0].state == JobState.RUNNING
    (tmp_path / "go").touch()
    assert start("--once").wait(PATIENCE_SECONDS) == 0
    job = client.get_jobs([jobid]).jobs[0]
    assert (job.state, job.output) == (JobState.COMPLETED, "done\n")


def test_its_secret_is_in_no_process_list(start: Start, remote: Remote, client: Client, tmp_path: Path) -> None:
    jobid = client.submit_job(JobSpec(command="cat /proc/*/cmdline 2>/dev/null | tr '\\0' ' '")).jobid

    assert start("--once").wait(PATIENCE_SECONDS) == 0

    output = client.get_jobs([jobid]).jobs[0].output
    assert "agent --executor local" in output
    assert remote.secret not in output


def test_two_agents_do_not_share_a_folder(start: Start, client: Client) -> None:
    jobid = client.submit_job(JobSpec(command="true")).jobid
    start()
    eventually(lambda: client.get_jobs([jobid]).jobs[0].state == JobState.COMPLETED)

    second = start()
    _, complaint = second.communicate(timeout=PATIENCE_SECONDS)

    assert second.returncode == 5
    assert "give each agent a state folder of its own" in complaint


def test_a_refused_secret_is_told(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAINBOW_SECRET", "wrong")

    agent = start()
    _, complaint = agent.communicate(timeout=PATIENCE_SECONDS)

    assert agent.returncode == 3
    assert "request denied" in complaint


@pytest.mark.parametrize("command", ["agent", "doctor"])
def test_an_option_that_the_executor_would_ignore_is_refused(rainbow: Run, tmp_path: Path, command: str) -> None:
    words = ("--executor", "local", "--scheduler-option", "--partition=debug", "--state-dir", str(tmp_path / "state"))

    result = rainbow(command, *words)

    assert result.exit_code == 2
    assert "--scheduler-option: local takes none; these do: slurm, flux" in result.stderr


def test_a_policy_that_is_not_meant_like_this_is_told(rainbow: Run, tmp_path: Path) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text("max_node = 4\n")

    result = rainbow("agent", "--executor", "local", "--policy", str(policy), "--state-dir", str(tmp_path))

    assert result.exit_code == 2
    assert "there is no max_node" in result.stderr


def test_a_dry_run_shows_what_it_would_take_and_takes_nothing(rainbow: Run, client: Client, tmp_path: Path) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text("max_nodes = 2\n")
    specs = [JobSpec(command="true"), JobSpec(command="true", nodes=3), JobSpec(command="true", tasks=2),
             JobSpec(command="true", nodes=2, tasks=2), JobSpec(command="true", nodes=2, tasks=4)]  # fmt: skip
    jobids = [client.submit_job(spec).jobid for spec in specs]
    words = ["--executor", "local", "--slots", "5", "--policy", str(policy), "--dry-run"]

    plan = answer(rainbow("agent", *words, "--json"))
    shown = rainbow("agent", *words).stdout

    assert [item["verdict"] for item in plan["jobs"]] == [
        "taken",
        "refused: 3 nodes are more than the 2 that this cluster allows",
        "taken",
        "left: it does not fit now",
        "refused: needs 8 slots, and this machine has 5",
    ]
    assert shown.startswith("Free: 5 nodes, 5 slots.\n")
    assert {client.get_jobs([jobid]).jobs[0].state for jobid in jobids} == {JobState.QUEUED}
