"""This machine itself. Each job is a process in a session of its own, beside a runner that outlives the agent."""

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Iterator
from dataclasses import asdict
from pathlib import Path

from rainbow.executors import runner
from rainbow.executors.endings import cancelled, ended, from_wait_status, gone, timed, timed_out
from rainbow.executors.environment import command_environment, home_of, job_environment
from rainbow.executors.executor import (
    Capacity,
    Ending,
    JobPhase,
    Progress,
    SchedulerSilent,
    Site,
    Ticket,
    Way,
    Work,
    WorkRefused,
)
from rainbow.executors.folders import JobFolder, at, folder_of, tail

# A runner notes its start after some 50 ms.
START_SECONDS = 10.0
LOST = gone("what ran the job ended without a word: it was killed, or the machine went down")


class LocalExecutor:
    way = Way(words="as processes of this machine")

    def __init__(self, site: Site) -> None:
        self._site = site
        self._total = site.slots or len(os.sched_getaffinity(0))

    def capacity(self) -> Capacity:
        free = max(0, self._total - sum(self._taken()))
        return Capacity(nodes=free, slots=free)

    def slots(self, work: Work) -> int:
        return work.nodes * max(work.tasks, 1)

    def never(self, work: Work) -> str:
        slots = self.slots(work)
        return f"needs {slots} slots, and this machine has {self._total}" if slots > self._total else ""

    def submit(self, work: Work, key: str) -> str:
        job = self._job(work)
        if refusal := self.never(work):
            raise WorkRefused(refusal)
        if not Path(job.directory).is_dir():
            raise WorkRefused(f"there is no directory {job.directory}")
        if job.slots > self.capacity().slots:
            raise SchedulerSilent(f"fewer than {job.slots} slots are free")
        return self._start(job, self._folder(key))

    def find(self, keys: Collection[str]) -> dict[str, str]:
        found = {key: _native_id(self._folder(key)) for key in keys}
        return {key: native for key, native in found.items() if native}

    def watch(self, tickets: Collection[Ticket]) -> dict[str, Progress]:
        return {ticket.key: _progress(self._folder(ticket.key)) for ticket in tickets}

    def cancel(self, tickets: Collection[Ticket]) -> None:
        for ticket in tickets:
            self._cancel(ticket)

    def _cancel(self, ticket: Ticket) -> None:
        folder = self._folder(ticket.key)
        if not _runs(folder):
            return
        folder.cancelled.touch()
        with contextlib.suppress(ProcessLookupError), _process(int(_native_id(folder) or 0)) as process:
            # The process cannot be another one of the same number: it was opened before the lock was tried.
            if _runs(folder):
                signal.pidfd_send_signal(process, signal.SIGTERM)

    def output(self, ticket: Ticket) -> str:
        return tail(self._folder(ticket.key).output)

    def forget(self, ticket: Ticket) -> None:
        self._folder(ticket.key).remove()

    def _folder(self, key: str) -> JobFolder:
        return folder_of(self._site.folder, key)

    def _job(self, work: Work) -> runner.Job:
        return runner.Job(
            command=work.command,
            directory=work.working_directory or home_of(self._site.environment),
            environment=job_environment(self._site.environment, work.environment),
            limit_seconds=work.time_limit_seconds,
            slots=self.slots(work),
        )

    def _taken(self) -> Iterator[int]:
        """The slots of each job that runs."""
        for path in (self._site.folder.absolute() / "jobs").glob("*"):
            if _runs(JobFolder(path=path)):
                yield _described(path).slots

    def _start(self, job: runner.Job, folder: JobFolder) -> str:
        """Start the runner, once: it inherits the lock, so there is no moment at which the job seems not to be."""
        folder.make()
        with _opened_lock(folder) as lock:
            if not _locked(lock, fcntl.LOCK_EX) or folder.started.exists():
                return _native_id(folder)
            _describe(folder.path, job)
            return self._detached(folder, lock)

    def _detached(self, folder: JobFolder, lock: int) -> str:
        command = [sys.executable, "-I", "-S", runner.__file__, str(folder.path)]
        with (folder.path / "runner.log").open("ab") as log:
            try:
                started = subprocess.run(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    env=command_environment(self._site.environment),
                    pass_fds=[lock],
                    check=True,
                    timeout=START_SECONDS,
                )
            except (OSError, subprocess.SubprocessError) as error:
                raise SchedulerSilent(f"the job's runner did not start: {error}") from error
        return started.stdout.decode().strip()


def _progress(folder: JobFolder) -> Progress:
    running = _runs(folder)
    started = folder.read(folder.started)
    started_at = at(started[1]) if started else None
    if words := folder.read(folder.ended):
        how, status, ended_at = words
        return timed(_end(how, int(status)), started_at=started_at, ended_at=at(ended_at))
    if not running:
        return timed(LOST, started_at=started_at)
    return Progress(phase=JobPhase.RUNNING if started else JobPhase.PENDING, started_at=started_at)


def _end(how: str, status: int) -> Progress:
    ends = {
        "cancelled": cancelled(),
        "timed_out": timed_out(),
        "stopped": ended(Ending.NODE_FAILED, reason="stopped with the machine that it ran on"),
        "failed": ended(Ending.FAILED, reason="could not be started; its output says why"),
    }
    return ends[how] if how in ends else from_wait_status(status)


def _native_id(folder: JobFolder) -> str:
    """The process id of the job's runner; empty if it has none. Waits for one that is just starting."""
    deadline = time.monotonic() + START_SECONDS
    while not folder.started.exists() and _runs(folder):
        if time.monotonic() > deadline:
            raise SchedulerSilent("the job's runner does not start")
        time.sleep(0.01)
    return "".join(folder.read(folder.started)[:1])


def _runs(folder: JobFolder) -> bool:
    """Whether the job's runner lives. A lock cannot be mistaken for another process, as a number can."""
    if folder.ended.exists() or not folder.path.is_dir():
        return False
    with _opened_lock(folder) as lock:
        return not _locked(lock, fcntl.LOCK_SH)


@contextlib.contextmanager
def _opened_lock(folder: JobFolder) -> Iterator[int]:
    handle = os.open(folder.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        yield handle
    finally:
        os.close(handle)


def _locked(handle: int, kind: int) -> bool:
    """Tries for a moment, since others may be trying the same lock."""
    for _ in range(10):
        try:
            fcntl.flock(handle, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if kind == fcntl.LOCK_SH:
                return False
            time.sleep(0.01)
        else:
            return True
    return False


@contextlib.contextmanager
def _process(number: int) -> Iterator[int]:
    handle = os.pidfd_open(number)
    try:
        yield handle
    finally:
        os.close(handle)


def _describe(path: Path, job: runner.Job) -> None:
    handle = os.open(path / "job.json", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w") as file:
        json.dump(asdict(job), file)


def _described(path: Path) -> runner.Job:
    return runner.Job(**json.loads((path / "job.json").read_text()))
