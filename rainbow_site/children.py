"""Processes that live and die together."""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from types import FrameType

# prctl(2): the kernel sends a child this signal when its parent dies, however that happens.
_PR_SET_PDEATHSIG = 1


def run_together(commands: Sequence[Sequence[str]], *, environment: Mapping[str, str]) -> int:
    """Runs the commands until one ends or SIGTERM or SIGINT arrives; then stops the others and waits for them.

    Returns 0 when it was told to stop and all obeyed, otherwise the exit code of the first that failed, or 1.
    """
    told: list[int] = []
    children = [_start(command, environment) for command in commands]

    def stop(number: int, frame: FrameType | None) -> None:
        told.append(number)
        _terminate(children)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    # Waits for any child without taking its exit code from Popen.
    os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
    _terminate(children)
    codes = [child.wait() for child in children]
    failures = [code for code in codes if code]
    return next(iter(failures), 0 if told else 1)


def _start(command: Sequence[str], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    # In a session of its own a child does not hear the terminal's Ctrl-C, so that it is told to stop just once.
    return subprocess.Popen(command, env=dict(environment), start_new_session=True, preexec_fn=_die_with_parent)


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _terminate(children: Sequence[subprocess.Popen[bytes]]) -> None:
    for child in children:
        if child.poll() is None:
            child.terminate()
