"""What the tests of all executors do."""

import shlex
import time
from collections.abc import Callable
from pathlib import Path

from rainbow.executors.executor import Executor, JobPhase, Progress, Ticket
from rainbow.specs import Work
from tests.support.patience import PATIENCE_SECONDS


def hand_over(executor: Executor, key: str, command: str, **more: object) -> Ticket:
    return Ticket(key=key, native_id=executor.submit(Work(command=command, **more), key))  # type: ignore[arg-type]


def progress(executor: Executor, ticket: Ticket) -> Progress:
    return executor.watch([ticket])[ticket.key]


def wait_for(executor: Executor, ticket: Ticket, *phases: JobPhase, seconds: float = PATIENCE_SECONDS) -> Progress:
    deadline = time.monotonic() + seconds
    while (seen := progress(executor, ticket)).phase not in phases:
        if time.monotonic() > deadline:
            raise AssertionError(f"after {seconds} s the job is {seen}")
        time.sleep(0.1)
    return seen


def wait_until(true: Callable[[], object], *, seconds: float = PATIENCE_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise AssertionError(f"not true after {seconds} s")
        time.sleep(0.05)


def until_there(file: Path) -> str:
    """Shell code that waits for the file: a test decides when its job goes on."""
    return f"until [ -e {shlex.quote(str(file))} ]; do sleep 0.05; done"


def lines_of(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []
