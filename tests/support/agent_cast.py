"""An agent of the cluster `remote`, on this machine or with a scheduler under the test's control."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from rainbow.executors.executor import Ending, JobPhase, Progress
from tests.support.agents import Crew, ScriptedExecutor, crew
from tests.support.servers import RainbowServer
from tests.support.wire import Remote
from tests.support.wishes import at_work

RUNNING = Progress(phase=JobPhase.RUNNING, started_at=datetime(2026, 1, 1, tzinfo=UTC))
SUCCESS = {"ending": Ending.EXITED, "exit_code": 0}

Hire = Callable[..., Crew]


@pytest.fixture
def hire(server: RainbowServer, remote: Remote, tmp_path: Path) -> Iterator[Hire]:
    """Start agents of the cluster: `hire(executor=…, policy=…, lease_seconds=…)`."""
    with ExitStack() as stack:

        def make(*, folder: str = "state", **options: Any) -> Crew:
            return stack.enter_context(crew(remote, server.address, tmp_path / folder, **options))

        yield make


@pytest.fixture
def scheduler() -> ScriptedExecutor:
    return ScriptedExecutor()


@pytest.fixture
def scripted(hire: Hire, scheduler: ScriptedExecutor) -> Crew:
    return hire(executor=scheduler)


@pytest.fixture
def agent(hire: Hire) -> Iterator[Crew]:
    with at_work(hire()) as made:
        yield made


def key(jobid: int) -> str:
    return f"rainbow-{jobid}-1"


def handed_over(crew: Crew, command: str = "true", **more: Any) -> int:
    jobid = crew.submit(command, **more)
    crew.work(lambda: crew.job(jobid).native_id == f"native-{key(jobid)}")
    return jobid
