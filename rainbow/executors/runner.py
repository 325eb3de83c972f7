"""Runs one job beside the agent, and notes in the job's folder how it went.

A program of its own, `runner.py FOLDER`, that needs nothing but the standard library. FOLDER holds job.json. The
agent leaves it an open, locked file: as long as this process lives, nobody else can lock that file.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

# Between the signal that asks a job to end and the one that makes it.
GRACE_SECONDS = 5.0
WAKING = (signal.SIGCHLD, signal.SIGTERM)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """The content of job.json. `limit_seconds` 0 means none."""

    command: str
    directory: str
    environment: dict[str, str]
    limit_seconds: int
    slots: int


def main(folder: Path) -> None:
    """Leave the agent behind, and run the job unless that happened before."""
    if child := os.fork():
        print(child, flush=True)  # noqa: T201  the agent reads it
        return
    os.setsid()
    _silence()
    signal.pthread_sigmask(signal.SIG_BLOCK, WAKING)
    with contextlib.suppress(FileExistsError):
        _note(folder, "started", os.getpid(), time.time())
        _note(folder, "ended", *_run(Job(**json.loads((folder / "job.json").read_text())), folder), time.time())


def _run(job: Job, folder: Path) -> tuple[str, int]:
    """How the job ended, and its status of wait(2)."""
    if (folder / "cancelled").exists():
        return "cancelled", 0
    with (folder / "output").open("ab", buffering=0) as output:
        try:
            process = _start(job, output.fileno())
        except OSError as error:
            output.write(f"rainbow: cannot start in {job.directory}: {error.strerror}\n".encode())
            return "failed", 0
        how = _wait(process.pid, job.limit_seconds, folder)
    # The process is over and not yet reaped, so its number still means its own group: here go those it left behind.
    _signal(process.pid, signal.SIGKILL)
    return how, os.waitpid(process.pid, 0)[1]


def _start(job: Job, output: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        ["/bin/sh", "-c", job.command],
        cwd=job.directory,
        env=job.environment,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        start_new_session=True,
        preexec_fn=_usual_signals,
    )


def _wait(pid: int, limit_seconds: int, folder: Path) -> str:
    """Wait for the process to end, and see to it that it does when its time is up or someone asks."""
    how, sent = "", signal.SIGTERM
    deadline = time.monotonic() + (limit_seconds or float("inf"))
    while not _over(pid):
        asked = _woken(deadline) == signal.SIGTERM and not how
        if asked or time.monotonic() >= deadline:
            how = how or _why(folder, asked=asked)
            _signal(pid, sent)
            sent, deadline = signal.SIGKILL, time.monotonic() + GRACE_SECONDS
    return how or "exited"


def _why(folder: Path, *, asked: bool) -> str:
    if not asked:
        return "timed_out"
    return "cancelled" if (folder / "cancelled").exists() else "stopped"


def _woken(deadline: float) -> int:
    """The signal that came before the deadline; 0 if none did."""
    woken = signal.sigtimedwait(WAKING, min(max(0.0, deadline - time.monotonic()), 3600))
    return woken.si_signo if woken else 0


def _over(pid: int) -> bool:
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _signal(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _usual_signals() -> None:
    """Undo, in the job's process, what this one and its parents did to signals."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)


def _silence() -> None:
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1):
        os.dup2(nowhere, standard)


def _note(folder: Path, name: str, *words: object) -> None:
    """Write a record that is there in full or not at all. Raises FileExistsError if there is one already."""
    draft = folder / f"{name}.{os.getpid()}"
    with draft.open("w") as file:
        file.write(" ".join(map(str, words)) + "\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        (folder / name).hardlink_to(draft)
    finally:
        draft.unlink()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
