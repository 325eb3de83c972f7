"""A runner as the agent has it: a connection by which it gets one job after another and says how each goes."""

import contextlib
import os
import select
import signal
import socket
import threading
import time
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime

from rainbow.runner.descendants import process_of
from rainbow.runner.job_loop import IDLE

_LONGEST_WORDS = 64
# A job may stop a runner that is idle. So long waits the next one before another runner gets it.
LOOK_SECONDS = 0.2


class Runner:
    """`process`, and `started_at` of the job that it has, are known once a job began."""

    def __init__(self, connection: socket.socket, idle: "IdleRunners") -> None:
        self._connection = connection
        self._idle = idle
        self.process = 0
        self.started_at: datetime | None = None

    def begins(self, key: str, handles: Sequence[int], deadline: float) -> bool:
        """Give it a job with its handles; whether it began it. Raises TimeoutError where it says nothing until then.

        One that is stopped before it begins is killed.
        """
        try:
            socket.send_fds(self._connection, [key.encode()], handles)
            words = self._said_before(deadline).split()
        except OSError as error:
            self.close()
            if isinstance(error, TimeoutError):
                raise
            return False
        if len(words) != 2:
            self.close()
            return False
        self.process, self.started_at = int(words[0]), datetime.fromtimestamp(float(words[1]), UTC)
        return True

    def fileno(self) -> int:
        """Can be read once its job is over."""
        return self._connection.fileno()

    def over(self) -> None:
        """Its job is: it waits for another, or has ended."""
        if self._said() == IDLE:
            self._idle.put(self)
        else:
            self.close()

    def close(self) -> None:
        """It ends after the job that it has."""
        self._connection.close()

    def has_ended(self) -> bool:
        """Of one that is idle."""
        try:
            return not self._connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        # It was killed before it read a job (unix(7), ECONNRESET).
        except OSError:
            return True

    def _said_before(self, deadline: float) -> bytes:
        poll = select.poll()
        poll.register(self._connection, select.POLLIN)
        while not poll.poll(1000 * max(0.0, min(deadline - time.monotonic(), LOOK_SECONDS))):
            self._kill_if_stopped()
            if time.monotonic() >= deadline:
                raise TimeoutError
        return self._said()

    def _said(self) -> bytes:
        try:
            return self._connection.recv(_LONGEST_WORDS)
        except OSError:
            return b""

    def _kill_if_stopped(self) -> None:
        """Only where it has been heard of before. A job that it has begun nonetheless fails, and is not begun again."""
        with contextlib.suppress(OSError):
            handle = os.pidfd_open(self.process)
            try:
                found = process_of(self.process)
                # It was opened before this check, so it cannot be another process of the same number.
                if found and found.is_stopped and not self.has_ended():
                    signal.pidfd_send_signal(handle, signal.SIGKILL)
            finally:
                os.close(handle)


class IdleRunners:
    """Thread-safe. The last is the first to get a job, so that those which are too many end."""

    def __init__(self) -> None:
        self._runners: deque[Runner] = deque()
        self._turn = threading.Lock()
        self._is_closed = False

    def put(self, runner: Runner) -> None:
        with self._turn:
            if self._is_closed:
                runner.close()
                return
            while self._runners and self._runners[0].has_ended():
                self._runners.popleft().close()
            self._runners.append(runner)

    def take(self) -> Runner | None:
        with self._turn:
            return self._runners.pop() if self._runners else None

    def close(self) -> None:
        """They end, and those that come later."""
        with self._turn:
            self._is_closed = True
            while self._runners:
                self._runners.pop().close()
