"""docs/parameter-study.md works as it stands there: each command is run, and prints what it prints there."""

import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.manual import terminal
from tests.support.patience import PATIENCE_SECONDS
from tests.support.servers import RainbowServer
from tests.support.tours import AGENT, settled, steps


@pytest.fixture
def shell(start_server: Callable[..., RainbowServer], embedded_database: str, tmp_path: Path) -> dict[str, str]:
    """The environment of a reader whose server runs, and who registered keebler."""
    server = start_server(database_url=embedded_database, environment={"RAINBOW_REGISTRATION_SECRET": ""})
    environment = terminal(tmp_path, server)
    subprocess.run(["rainbow", "register", "--save"], env=environment, check=True, timeout=PATIENCE_SECONDS)
    return environment


@pytest.fixture
def agent(shell: dict[str, str], tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    with (tmp_path / "agent.log").open("w") as log:
        words = [*AGENT.split(), "--state-dir", str(tmp_path / "state")]
        running = subprocess.Popen(words, env=shell, stdout=log, stderr=log)
    yield running
    running.send_signal(signal.SIGCONT)
    running.terminate()
    running.wait(PATIENCE_SECONDS)


def test_a_parameter_study(shell: dict[str, str], agent: subprocess.Popen[bytes], tmp_path: Path) -> None:
    folder = tmp_path
    for step in steps("parameter-study.md"):
        # Its jobs are quick: they start once there is a job that waits for them.
        if "--each" in step.command:
            agent.send_signal(signal.SIGSTOP)
        run = subprocess.run(
            ["bash", "-c", step.command],
            cwd=folder,
            env=shell,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE_SECONDS,
        )
        if "--after" in step.command:
            agent.send_signal(signal.SIGCONT)
        if step.command.startswith("mkdir study"):
            folder = tmp_path / "study"
        assert (run.returncode, settled(run.stdout)) == (0, settled(step.output)), (step.command, run.stdout)
