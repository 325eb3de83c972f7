"""What a runner does: one job after another, which the agent sends it, each from its start to its end.

It says the number of its process and when it started to each, and that it is idle after each. It ends with the last of
its jobs, when none comes for long, and with the agent.
"""

import contextlib
import ctypes
import os
import select
import signal
import socket
import time
from collections.abc import Sequence

from rainbow.runner.job import RunnerJob
from rainbow.runner.notes import Notes
from rainbow.runner.supervisor import WAKING, JobSignals, supervise
from rainbow.system.prctl import adopt_orphans
from rainbow.system.process_settings import settings
from rainbow.system.signalfd import next_signal, signals_as_file

LONGEST_KEY = 100
# Of a job: its lock, which the runner holds until it is over; the folders of its notes and its output; its log; and the
# job itself.
HANDLES = 5
IDLE = b"idle"
# In the command line, in place of a job's key; none looks like this.
NO_JOB = b"(idle)"
# What a runner may have kept of its jobs is bounded by this, and by the time that it waits for another.
MOST_JOBS = 100
IDLE_SECONDS = 60.0


class JobLoop:
    def __init__(self, agent: socket.socket, place_of_key: int) -> None:
        self._agent = agent
        self._place_of_key = place_of_key

    def run(self) -> None:
        """Raises FileExistsError for a job that was started before, which does not run then."""
        # First, so that no file of its own is the standard input.
        _silence()
        self._signals = signals_as_file(WAKING)
        os.setsid()
        adopt_orphans()
        usual = settings()
        for number in range(1, MOST_JOBS + 1):
            if not self._is_wanted():
                return
            key, handles, _, _ = socket.recv_fds(self._agent, LONGEST_KEY, HANDLES, socket.MSG_CMSG_CLOEXEC)
            # The next job would have what an earlier one did to this process.
            if len(handles) != HANDLES or settings() != usual or not self._do(key, handles):
                return
            self._name(NO_JOB)
            if number < MOST_JOBS and not self._says(IDLE):
                return

    def _is_wanted(self) -> bool:
        """Waits for a job. Not with the machine that goes down."""
        poll = select.poll()
        poll.register(self._agent, select.POLLIN)
        poll.register(self._signals, select.POLLIN)
        deadline = time.monotonic() + IDLE_SECONDS
        while (left := deadline - time.monotonic()) > 0:
            ready = [file for file, _ in poll.poll(1000 * left)]
            while received := next_signal(self._signals):
                if received.number == signal.SIGTERM:
                    return False
            if self._agent.fileno() in ready:
                return True
        return False

    def _do(self, key: bytes, handles: Sequence[int]) -> bool:
        """Whether nothing of the job is left, so that another may follow."""
        _lock, notes_folder, output, log, job_file = handles
        os.dup2(log, 2)
        self._name(key)
        # Another runner may have begun to read it.
        job = RunnerJob.read(os.pread(job_file, os.fstat(job_file).st_size, 0).decode())
        with contextlib.closing(Notes(notes_folder)) as notes:
            notes.reserve("ended")
            started_at = time.time()
            notes.write_once("started", os.getpid(), started_at)
            self._says(f"{os.getpid()} {started_at}".encode())
            how, status, left = supervise(job, output, JobSignals(self._signals, key.decode()))
            notes.write("ended", how, status, left, time.time())
        os.dup2(1, 2)
        for handle in handles:
            os.close(handle)
        return not left

    def _says(self, words: bytes) -> bool:
        """Whether the agent is there to hear it."""
        try:
            self._agent.send(words)
        except OSError:
            return False
        return True

    def _name(self, key: bytes) -> None:
        ctypes.memmove(self._place_of_key, key.ljust(LONGEST_KEY, b"\0"), LONGEST_KEY)


def _silence() -> None:
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1):
        os.dup2(nowhere, standard)
    os.close(nowhere)
