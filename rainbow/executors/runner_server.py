"""The server that forks the runners of local jobs, as the agent has it: started when it is needed or has died."""

import os
import select
import socket
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import rainbow.runner
from rainbow.executors.executor import SchedulerSilent
from rainbow.runner.fork_server import NO_KEY
from rainbow.runner.job import RunnerJob

# A runner notes its start after a few milliseconds.
START_SECONDS = 30.0
PROGRAM = str(Path(rainbow.runner.__file__).with_name("__main__.py"))
_LONGEST_ANSWER = 32


class RunnerServer:
    """One for each executor, with which it ends. Thread-safe."""

    def __init__(self) -> None:
        self._running: _Running | None = None
        self._turn = threading.Lock()

    def start(self, job: RunnerJob, key: str, handles: Sequence[int]) -> str:
        """Have a runner run the job, with the handles of its lock, notes, output and log; returns its process id.

        Raises SchedulerSilent where it does not say that it started.
        """
        seen, noted = os.pipe()
        try:
            with _as_file(job) as file:
                self._send(key, [*handles, file, noted])
        except OSError as error:
            raise SchedulerSilent(f"the job's runner cannot be started: {error}") from error
        finally:
            os.close(noted)
            answer = _answer(seen)
        if answer is None:
            self._end_stuck()
        if not answer:
            raise SchedulerSilent("the job's runner did not start; the log among the job's notes may say why")
        return answer

    def _end_stuck(self) -> None:
        """One that a job's user stopped would keep all waiting. What it had not begun did not start."""
        with self._turn:
            if self._running is not None:
                self._running.process.kill()
                self._running.process.wait(START_SECONDS)

    def _send(self, key: str, handles: Sequence[int]) -> None:
        with self._turn:
            if self._running is None or self._running.process.poll() is not None:
                self._running = _Running()
            socket.send_fds(self._running.connection, [key.encode()], handles)


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
        os.lseek(file, 0, os.SEEK_SET)
        yield file
    finally:
        os.close(file)


def _answer(pipe: int) -> str | None:
    """What is written into the pipe; empty where it is closed without a word, None where that takes too long."""
    try:
        ready, _, _ = select.select([pipe], [], [], START_SECONDS)
        return os.read(pipe, _LONGEST_ANSWER).decode() if ready else None
    finally:
        os.close(pipe)
