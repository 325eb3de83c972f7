"""Has runners begin local jobs: idle ones, and else new ones, which a server forks.

The server is started when it is needed or has died.
"""

import os
import socket
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import rainbow.runner
from rainbow.executors.executor import SchedulerSilent
from rainbow.executors.runner import IdleRunners, Runner
from rainbow.runner.fork_server import ANOTHER, NO_KEY
from rainbow.runner.job import RunnerJob

# A runner notes its start after a few milliseconds.
START_SECONDS = 30.0
PROGRAM = str(Path(rainbow.runner.__file__).with_name("__main__.py"))


class RunnerServer:
    """One for each executor, with which it ends. Thread-safe."""

    def __init__(self) -> None:
        self._running: _Running | None = None
        self._turn = threading.Lock()
        self._idle = IdleRunners()
        weakref.finalize(self, self._idle.close)

    def start(self, job: RunnerJob, key: str, handles: Sequence[int]) -> Runner:
        """Have a runner run the job, with the handles of its lock, notes, output and log; returns once that has begun.

        Raises SchedulerSilent where none says so.
        """
        deadline = time.monotonic() + START_SECONDS
        with _as_file(job) as file:
            try:
                for runner in self._candidates():
                    if runner.begins(key, [*handles, file], deadline):
                        return runner
            except TimeoutError:
                self._end_stuck()
        raise SchedulerSilent("the job's runner did not start; the log among the job's notes may say why")

    def _candidates(self) -> Iterator[Runner]:
        """Those that have ended, or are stopped, begin nothing. Should one have, the next cannot."""
        while idle := self._idle.take():
            yield idle
        yield self._another()
        # The server may have been dying.
        yield self._another()

    def _another(self) -> Runner:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            try:
                self._send(theirs.fileno())
            except OSError as error:
                ours.close()
                raise SchedulerSilent(f"the job's runner cannot be started: {error}") from error
        return Runner(ours, self._idle)

    def _end_stuck(self) -> None:
        """One that a job's user stopped would keep all waiting. What it had not begun did not start."""
        with self._turn:
            if self._running is not None:
                self._running.process.kill()
                self._running.process.wait(START_SECONDS)

    def _send(self, handle: int) -> None:
        with self._turn:
            if self._running is None or self._running.process.poll() is not None:
                self._running = _Running()
            socket.send_fds(self._running.connection, [ANOTHER], [handle])


class _Running:
    def __init__(self) -> None:
        self.connection, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.connection.settimeout(START_SECONDS)
        command = [sys.executable, "-I", "-S", "-X", "utf8", PROGRAM, NO_KEY]
        nothing: dict[str, str] = {}
        with theirs:
            self.process = subprocess.Popen(command, stdin=theirs.fileno(), stdout=subprocess.DEVNULL, env=nothing)
        weakref.finalize(self, _end, self.connection, self.process)


def _end(connection: socket.socket, process: subprocess.Popen[bytes]) -> None:
    connection.close()
    with suppress(subprocess.TimeoutExpired):
        process.wait(START_SECONDS)


@contextmanager
def _as_file(job: RunnerJob) -> Iterator[int]:
    """Without a name, and in memory: its environment is the job's own."""
    file = os.memfd_create("job")
    try:
        content = job.written().encode()
        while content:
            content = content[os.write(file, content) :]
        yield file
    finally:
        os.close(file)
