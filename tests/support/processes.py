"""Processes that end with the tests."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from tests.support.patience import PATIENCE_SECONDS

TIED = Path(__file__).with_name("tied.py")


def start(
    command: Sequence[str | Path],
    *,
    log: Path,
    environment: Mapping[str, str] | None = None,
    user: str = "",
    end_with: signal.Signals = signal.SIGKILL,
) -> subprocess.Popen[bytes]:
    """Start a command whose output goes to `log`; it gets the signal `end_with` if this process dies.

    It has a session of its own, so that Ctrl-C reaches it through a finalizer and not before.
    """
    # Without the environment, which `tied` does not need.
    tied = [sys.executable, "-I", "-S", TIED, str(end_with.value), user, *command]
    with log.open("ab") as output:
        return subprocess.Popen(
            tied,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )


def stop(
    process: subprocess.Popen[bytes], *, gently: signal.Signals, timeout_seconds: float = PATIENCE_SECONDS
) -> None:
    """Send `gently`; kill the process and raise TimeoutExpired if it does not end."""
    if process.poll() is not None:
        return
    process.send_signal(gently)
    try:
        process.wait(timeout_seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise


def end_group(process: subprocess.Popen[bytes]) -> None:
    """Kill the process and all that it started in its session."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def wait_until(
    ready: Callable[[], bool], *, process: subprocess.Popen[bytes], log: Path, timeout_seconds: float = PATIENCE_SECONDS
) -> None:
    """Wait for `ready()`; raise RuntimeError with the process's output if it ends first or time is up."""
    for _ in _until_deadline(timeout_seconds):
        if ready():
            return
        if process.poll() is not None:
            raise RuntimeError(f"it ended with {process.returncode} before it was ready:\n{log.read_text()}")
    process.kill()
    raise RuntimeError(f"it was not ready after {timeout_seconds} s:\n{log.read_text()}")


def _until_deadline(timeout_seconds: float) -> Iterator[None]:
    deadline = time.monotonic() + timeout_seconds
    while time.monotonic() < deadline:
        yield
        time.sleep(0.02)


def descendants(pid: int) -> list[int]:
    try:
        children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []
    return children + [below for child in children for below in descendants(child)]


def alive(pids: list[int]) -> list[int]:
    """Those that run; zombies do not."""
    return [pid for pid in pids if command_of(pid)]


def command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
