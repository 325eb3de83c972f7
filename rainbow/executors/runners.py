"""The runners of local jobs, as the agent sees them: started once each, found again, and stopped."""

import contextlib
import fcntl
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from rainbow.executors.executor import SchedulerSilent
from rainbow.executors.folders import JobFolder, number
from rainbow.executors.runner import Runner
from rainbow.executors.runner_server import PROGRAM, START_SECONDS, RunnerServer
from rainbow.runner.descendants import descendants, process_of, signal_each
from rainbow.runner.job import RunnerJob
from rainbow.runner.supervisor import CANCEL, cancel_value
from rainbow.system import file_locks
from rainbow.system.pidfd import send_signal
from rainbow.system.untrusted_files import CAREFULLY

MOST_PROCESSES = 2**22


def start(server: RunnerServer, job: RunnerJob, folder: JobFolder) -> Runner | None:
    """Have a runner begin a job, whose folder is made, once; None where one did before.

    It gets the lock, so there is no moment at which the job seems not to be.
    """
    with folder.notes.opened() as notes, _locked(notes) as lock:
        if lock is None or started_by(folder):
            return None
        with folder.job.opened() as output:
            return _started(server, job, folder, lock, notes, output)


def process_id(folder: JobFolder) -> str:
    """Of the job's runner; empty if it has none. Waits for one that is just starting."""
    deadline = time.monotonic() + START_SECONDS
    while not started_by(folder) and is_locked(folder):
        if time.monotonic() > deadline:
            raise SchedulerSilent("the job's runner does not start")
        time.sleep(0.01)
    found = started_by(folder)
    return str(found) if found else ""


def started_by(folder: JobFolder) -> int:
    """The process that noted its start; 0 if none did."""
    words = folder.notes.words("started")
    return (number(words[0], most=MOST_PROCESSES) or 0) if words else 0


def runs(folder: JobFolder, native_id: str = "") -> bool:
    """Whether the job's runner lives: by its lock, or where a job removed that, by what the process is."""
    process = number(native_id, most=MOST_PROCESSES) or started_by(folder)
    return is_locked(folder) or bool(process and is_runner(process, folder.key))


def stop(folder: JobFolder, native_id: str) -> None:
    """Ask the runner to end its job; nothing happens where there is none."""
    process = number(native_id, most=MOST_PROCESSES) or started_by(folder)
    if not process:
        return
    with contextlib.suppress(ProcessLookupError, PermissionError), _handle(process) as handle:
        # It was opened before this check, so it cannot be another process of the same number.
        if is_runner(process, folder.key):
            # It may have another job when this arrives, which then stays as it is.
            send_signal(handle, CANCEL, cancel_value(folder.key))
            # A job may have stopped it.
            signal.pidfd_send_signal(handle, signal.SIGCONT)


def go_on(folder: JobFolder, native_id: str) -> None:
    """Have a runner that its job stopped hold the time limit again."""
    process = number(native_id, most=MOST_PROCESSES) or 0
    found = process_of(process)
    if found is None or not found.is_stopped:
        return
    with contextlib.suppress(ProcessLookupError, PermissionError), _handle(process) as handle:
        # It was opened before this check, so it cannot be another process of the same number.
        if is_runner(process, folder.key):
            signal.pidfd_send_signal(handle, signal.SIGCONT)


def send(folder: JobFolder, native_id: str, sent: signal.Signals) -> None:
    """Send a signal to what the runner started; nothing happens where there is none."""
    process = number(native_id, most=MOST_PROCESSES) or started_by(folder)
    started = descendants(process) if process else []
    # It lived until now, so these are not another process's of the same number.
    if process and is_runner(process, folder.key):
        signal_each(started, sent)


def is_locked(folder: JobFolder) -> bool:
    try:
        with folder.notes.opened() as notes:
            handle = os.open("lock", os.O_RDWR | CAREFULLY, dir_fd=notes)
    except OSError:
        return False
    return file_locks.is_locked(handle)


@contextlib.contextmanager
def _locked(notes: int) -> Iterator[int | None]:
    """The lock of the job with these notes; None if a runner has it."""
    handle = os.open("lock", os.O_RDWR | os.O_CREAT | CAREFULLY, 0o600, dir_fd=notes)
    try:
        yield handle if _lock(handle) else None
    finally:
        os.close(handle)


def _lock(handle: int) -> bool:
    """Tries for a moment, since others may be looking whether it is locked."""
    for _ in range(10):
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        time.sleep(0.01)
    return False


def _started(server: RunnerServer, job: RunnerJob, folder: JobFolder, lock: int, notes: int, output: int) -> Runner:
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | CAREFULLY
    log = os.open("runner.log", flags, 0o600, dir_fd=notes)
    try:
        return server.start(job, folder.key, [lock, notes, output, log])
    finally:
        os.close(log)


def is_runner(process: int, key: str) -> bool:
    try:
        words = Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return key.encode() in words and PROGRAM.encode() in words


@contextlib.contextmanager
def _handle(process: int) -> Iterator[int]:
    handle = os.pidfd_open(process)
    try:
        yield handle
    finally:
        os.close(handle)
