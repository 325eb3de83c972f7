"""Processes that live and die together."""

import ctypes
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import FrameType

# prctl(2): the kernel sends a child this signal when its parent dies, however that happens.
_PR_SET_PDEATHSIG = 1
_log = logging.getLogger("rainbow")


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """A command to run. `files` are the descriptors that it inherits, under the same numbers."""

    name: str
    command: Sequence[str]
    files: Sequence[int] = ()


def run_together(children: Sequence[Child], *, environment: Mapping[str, str]) -> int:
    """Runs the commands until one ends or SIGTERM or SIGINT arrives; then stops the others and waits for them.

    Returns 0 when it was told to stop and all obeyed, otherwise the exit code of the first that failed
    (128 and the signal's number for one that a signal killed, as in a shell), or 1.
    """
    told: list[int] = []
    running: list[subprocess.Popen[bytes]] = []

    def stop(number: int, frame: FrameType | None) -> None:
        told.append(number)
        _terminate(running)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    for child in children:
        running.append(_start(child, environment))
    if told:
        _terminate(running)
    # Waits for any child without taking its exit code from Popen.
    os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
    if not told:
        _report(children, running)
    _terminate(running)
    return _exit_code([process.wait() for process in running], told=bool(told))


def _start(child: Child, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        child.command,
        env=dict(environment),
        pass_fds=child.files,
        # In a session of its own a child does not hear the terminal's Ctrl-C, so that it is told to stop just once.
        start_new_session=True,
        preexec_fn=_die_with_parent,
    )


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _report(children: Sequence[Child], running: Sequence[subprocess.Popen[bytes]]) -> None:
    for child, process in zip(children, running, strict=True):
        if process.poll() is not None:
            _log.error("%s ended code=%d; stopping the rest", child.name, process.returncode)


def _terminate(running: Sequence[subprocess.Popen[bytes]]) -> None:
    for process in running:
        if process.poll() is None:
            process.terminate()


def _exit_code(codes: Sequence[int], *, told: bool) -> int:
    """A child that SIGTERM killed had not yet learned to stop in order: that is no failure."""
    failures = [128 - code if code < 0 else code for code in codes if code not in (0, -signal.SIGTERM)]
    return next(iter(failures), 0 if told else 1)
