import ctypes
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from queue import Empty, SimpleQueue
from types import FrameType

from rainbow.telemetry.lines import Line

# prctl(2): the kernel sends a child this signal when its parent dies.
_PR_SET_PDEATHSIG = 1
# Loaded before the fork: a forked child should not load libraries.
_LIBC = ctypes.CDLL(None)
# Backoff between restarts of a child; after the last, all stop.
_PAUSES_SECONDS = (0, 1, 2, 4, 8)
# A child that lived longer resets the backoff.
_SETTLED_AFTER_SECONDS = 60
# The servers give the calls in flight 30 seconds.
_OBEYS_WITHIN_SECONDS = 45
_log = logging.getLogger("rainbow")


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """A command to run. `files` are the descriptors that it inherits, under the same numbers.

    A child that `restarts` is started again when it ends; the end of any other ends all. One that is not `needed` is
    started again for ever, where others end all once they do not stay.
    """

    name: str
    command: Sequence[str]
    files: Sequence[int] = ()
    restarts: bool = False
    needed: bool = True


def run_together(children: Sequence[Child], *, environment: Mapping[str, str]) -> int:
    """Runs the commands until one ends for good or SIGTERM or SIGINT arrives; then stops the others and waits for them.

    Returns 0 when it was told to stop and all children obeyed, otherwise the exit code of the first that failed (128
    plus the signal for one that was killed, as in a shell), or 1.
    """
    return _Family(children, environment).run()


class _Member:
    def __init__(self, child: Child, environment: Mapping[str, str]) -> None:
        self._child = child
        self._environment = dict(environment)
        self._ends_in_a_row = 0
        # The time of its restart; None while it runs, and if it never restarts.
        self.due: float | None = None
        self.start()

    def start(self) -> None:
        self.due = None
        self._began = time.monotonic()
        self.process = subprocess.Popen(
            self._child.command,
            env=self._environment,
            pass_fds=self._child.files,
            # In its own session a child does not get the terminal's SIGINT, and is stopped just once.
            start_new_session=True,
            preexec_fn=partial(_die_with_parent, os.getpid()),
        )

    def has_ended_for_good(self) -> bool:
        """Also schedules the restart of a child that restarts."""
        if self.due is not None or self.process.poll() is None:
            return False
        if time.monotonic() - self._began > _SETTLED_AFTER_SECONDS:
            self._ends_in_a_row = 0
        may_end = self._child.needed and self._ends_in_a_row >= len(_PAUSES_SECONDS)
        restarts = self._child.restarts and not may_end
        what = "starting it again" if restarts else "stopping the rest"
        _log.error(Line(f"{self._child.name} ended; {what}", code=self.process.returncode))
        if restarts:
            self.due = time.monotonic() + _PAUSES_SECONDS[min(self._ends_in_a_row, len(_PAUSES_SECONDS) - 1)]
            self._ends_in_a_row += 1
        return not restarts


class _Family:
    def __init__(self, children: Sequence[Child], environment: Mapping[str, str]) -> None:
        self._told = False
        # Reentrant, so that a signal handler may use it (docs.python.org/3/library/queue.html).
        self._news: SimpleQueue[int] = SimpleQueue()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        signal.signal(signal.SIGCHLD, self._hear)
        self._members = [_Member(child, environment) for child in children]

    def run(self) -> int:
        while not self._told and not self._one_has_ended():
            self._await_news()
            self._start_those_due()
        self._terminate()
        return _exit_code(self._codes(), told=self._told)

    def _one_has_ended(self) -> bool:
        ended = [member.has_ended_for_good() for member in self._members]
        return any(ended)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._told = True
        self._news.put(number)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        self._news.put(number)

    def _await_news(self) -> None:
        due = [member.due for member in self._members if member.due is not None]
        timeout = max(0, min(due) - time.monotonic()) if due else None
        with suppress(Empty):
            self._news.get(timeout=timeout)

    def _start_those_due(self) -> None:
        for member in self._members:
            if member.due is not None and member.due <= time.monotonic() and not self._told:
                member.start()

    def _terminate(self) -> None:
        for member in self._members:
            if member.process.poll() is None:
                member.process.terminate()

    def _codes(self) -> list[int]:
        """Waits for all, and kills those that do not stop in time."""
        until = time.monotonic() + _OBEYS_WITHIN_SECONDS
        for member in self._members:
            try:
                member.process.wait(max(0, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                member.process.kill()
        # One that waits for its restart failed before, which does not count.
        return [member.process.wait() for member in self._members if member.due is None]


def _die_with_parent(parent: int) -> None:
    if sys.platform == "linux":
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        # It died before it was to be told.
        os._exit(1)


def _exit_code(codes: Sequence[int], *, told: bool) -> int:
    """A child that SIGTERM killed had not installed its handler yet: no failure."""
    failures = [128 - code if code < 0 else code for code in codes if code not in (0, -signal.SIGTERM)]
    return next(iter(failures), 0 if told else 1)
