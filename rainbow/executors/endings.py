"""The ends of jobs, from what the operating system and the schedulers say."""

import os
import signal
from dataclasses import replace
from datetime import datetime

from rainbow.executors.executor import Ending, JobPhase, Progress


def ended(
    ending: Ending,
    *,
    reason: str = "",
    exit_code: int | None = None,
    signal: int | None = None,
) -> Progress:
    return Progress(phase=JobPhase.ENDED, ending=ending, reason=reason, exit_code=exit_code, signal=signal)


def exited(code: int) -> Progress:
    return ended(Ending.EXITED, exit_code=code, reason=f"ended with exit code {code}" if code else "")


def killed(number: int) -> Progress:
    return ended(Ending.SIGNALLED, signal=number, reason=f"killed by signal {number}{_name(number)}")


def timed_out() -> Progress:
    return ended(Ending.TIMED_OUT, reason="reached its time limit")


def cancelled() -> Progress:
    return ended(Ending.CANCELLED, reason="cancelled")


def withdrawn() -> Progress:
    return ended(Ending.WITHDRAWN, reason="it did not start in time, and was withdrawn from the scheduler")


def failed(reason: str) -> Progress:
    return ended(Ending.FAILED, reason=reason)


def refused(reason: str) -> Progress:
    return ended(Ending.REFUSED, reason=reason)


def from_wait_status(status: int) -> Progress:
    code = os.waitstatus_to_exitcode(status)
    return exited(code) if code >= 0 else killed(-code)


def from_shell_status(status: int) -> Progress:
    """From a shell's `$?`, where 128+n means signal n (POSIX.1-2017, sh, 2.8.2)."""
    return killed(status - 128) if status - 128 in signal.valid_signals() else exited(status)


def gone(reason: str) -> Progress:
    return Progress(phase=JobPhase.GONE, reason=reason)


def timed(progress: Progress, *, started_at: datetime | None, ended_at: datetime | None = None) -> Progress:
    return replace(progress, started_at=started_at, ended_at=ended_at)


def _name(number: int) -> str:
    return f" ({signal.Signals(number).name})" if number in set(signal.Signals) else ""
