"""Calls of a scheduler's commands, each with a time limit."""

import contextlib
import fcntl
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rainbow.executors.executor import SchedulerSilent

# Slurm's own commands give up after 9 to 11 seconds without a controller.
TIMEOUT_SECONDS = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    status: int
    text: str
    complaint: str


def ask(
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    standard_input: str = "",
    keep_open: Sequence[int] = (),
    umask: int = -1,
    timeout_seconds: float = TIMEOUT_SECONDS,
) -> Answer:
    """Run a command. Raises SchedulerSilent if it cannot be started, or takes too long and is killed."""
    try:
        done = subprocess.run(
            command,
            input=standard_input.encode(),
            capture_output=True,
            env=environment,
            pass_fds=keep_open,
            umask=umask,
            timeout=timeout_seconds,
        )
    except subprocess.TimeoutExpired as error:
        raise SchedulerSilent(f"{command[0]} did not answer within {timeout_seconds:g} seconds") from error
    except FileNotFoundError as error:
        raise SchedulerSilent(f"{command[0]} cannot be started: it is not on the PATH") from error
    except OSError as error:
        raise SchedulerSilent(f"{command[0]} cannot be started: {error.strerror}") from error
    return Answer(
        status=done.returncode,
        text=done.stdout.decode(errors="replace"),
        complaint=_complaint(done.stderr.decode(errors="replace"), command[0]),
    )


def _complaint(text: str, name: str) -> str:
    return "\n".join(line.removeprefix(f"{name}: ").removeprefix("error: ") for line in text.strip().splitlines())


@contextlib.contextmanager
def each_on_its_own() -> Iterator[Callable[[Callable[[], None]], None]]:
    """Yields what makes an attempt. One without an answer is raised at the end, and keeps no other from being made."""
    silences: list[SchedulerSilent] = []

    def attempt(call: Callable[[], None]) -> None:
        try:
            call()
        except SchedulerSilent as silence:
            silences.append(silence)

    yield attempt
    if silences:
        raise silences[0]


@contextlib.contextmanager
def submitting(folder: Path) -> Iterator[int]:
    """A file descriptor for the command that submits: while that runs, `all_submitted` waits for it.

    So when the agent is killed meanwhile, its successor does not look the job up before the command has ended.
    """
    handle = _open_lock(folder)
    try:
        fcntl.flock(handle, fcntl.LOCK_SH)
        yield handle
    finally:
        os.close(handle)


def all_submitted(folder: Path, *, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
    """Return once no command that submits runs. Raises SchedulerSilent if that takes too long."""
    deadline = time.monotonic() + timeout_seconds
    handle = _open_lock(folder)
    try:
        while not _taken(handle):
            if time.monotonic() > deadline:
                raise SchedulerSilent("an earlier submission is still under way")
            time.sleep(0.05)
    finally:
        os.close(handle)


def _open_lock(folder: Path) -> int:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return os.open(folder / "submitting.lock", os.O_RDWR | os.O_CREAT, 0o600)


def _taken(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
