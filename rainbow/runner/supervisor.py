"""From the start of a job to the end of its last process."""

import contextlib
import os
import select
import signal
import time
import zlib
from collections.abc import Sequence
from typing import NoReturn

from rainbow.runner.descendants import kill_all, reap, signal_all
from rainbow.runner.job import RunnerJob
from rainbow.runner.output import ERRORS, OUTPUT, Output, Pump
from rainbow.system.prctl import die_with
from rainbow.system.signalfd import next_signal

# Between the signal that asks a job to end and the one that makes it.
GRACE_SECONDS = 5.0
# The agent's wish that the job be stopped; SIGTERM comes with the end of the machine.
CANCEL = signal.SIGUSR1
LONGEST_WAIT_SECONDS = 3600.0
WAKING = (signal.SIGCHLD, signal.SIGTERM, CANCEL)
WHY: dict[int, str] = {CANCEL: "cancelled", signal.SIGTERM: "stopped"}


def cancel_value(key: str) -> int:
    """What comes with a cancel of that job. No job can change it, as it could a note."""
    return zlib.crc32(key.encode()) or 1


class JobSignals:
    """Those that a runner gets while it has that job. A cancel that comes late, for an earlier job, does not count;
    one without a value is for whichever it has.
    """

    def __init__(self, signals: int, key: str) -> None:
        self._signals = signals
        self._value = cancel_value(key)
        self._poll = select.poll()
        self._poll.register(signals, select.POLLIN)

    def woken(self, deadline: float) -> int:
        """The signal that arrived before the deadline; 0 for none."""
        seconds = min(max(0.0, deadline - time.monotonic()), LONGEST_WAIT_SECONDS)
        received = next_signal(self._signals) if self._poll.poll(1000 * seconds) else None
        if not received or (received.number == CANCEL and received.value not in (0, self._value)):
            return 0
        return received.number


def supervise(job: RunnerJob, folder: int, waking: JobSignals) -> tuple[str, int, int]:
    """Run a job. Returns how it ended, its status of wait(2), and how many of its processes could not be ended."""
    outputs = [Output(folder, name, most_bytes=job.kept_output_bytes) for name in (OUTPUT, ERRORS)]
    pump = Pump(outputs)
    try:
        process = _start(job, pump.entrances)
    except OSError as error:
        outputs[1].say(f"cannot start in {job.directory}: {error.strerror}")
        pump.start()
        pump.stop()
        return "failed", 0, 0
    pump.start()
    how, deadline = _wait(process, job.limit_seconds, waking)
    if how == "exited":
        # It is not yet reaped, so its number still means its own group: most of what it left behind goes at once.
        _signal_group(process, signal.SIGKILL)
    status = os.waitpid(process, 0)[1]
    while how != "exited" and reap() and time.monotonic() < deadline:
        waking.woken(deadline)
    left = kill_all()
    pump.stop()
    return how, status, left


def _start(job: RunnerJob, outputs: Sequence[int]) -> int:
    """The process of the job's shell. Raises OSError where it cannot be started.

    subprocess does the same in twice the time: its threads, and what it looks up, are copied for each runner.
    """
    runner = os.getpid()
    seen, failed = os.pipe()
    process = os.fork()
    if not process:
        _become(job, runner, outputs, failed)
    os.close(failed)
    with os.fdopen(seen, "rb") as failure:
        if number := failure.read():
            os.waitpid(process, 0)
            raise OSError(int(number), os.strerror(int(number)))
    return process


def _become(job: RunnerJob, runner: int, outputs: Sequence[int], failed: int) -> NoReturn:
    """Nothing else of the runner's stays open. Its standard input is nowhere already."""
    try:
        os.chdir(job.directory)
        os.setsid()
        for standard, output in enumerate(outputs, 1):
            os.dup2(output, standard)
        os.closerange(3, failed)
        os.closerange(failed + 1, os.sysconf("SC_OPEN_MAX"))
        die_with(runner)
        _usual_signals()
        os.execve("/bin/sh", ["/bin/sh", "-c", job.command], job.environment)
    except OSError as error:
        os.write(failed, str(error.errno).encode())
    finally:
        os._exit(1)


def _wait(pid: int, limit_seconds: int, waking: JobSignals) -> tuple[str, float]:
    """Wait for the process, and end it at its time limit or on request.

    Returns how it ended, and until when other processes that were asked to end have time.
    """
    how, sent = "", signal.SIGTERM
    deadline = time.monotonic() + (limit_seconds or float("inf"))
    while not _over(pid):
        woken = waking.woken(deadline)
        if (woken in (CANCEL, signal.SIGTERM) and not how) or time.monotonic() >= deadline:
            how = how or WHY.get(woken, "timed_out")
            _signal(pid, sent)
            sent, deadline = signal.SIGKILL, time.monotonic() + GRACE_SECONDS
    return how or "exited", deadline


def _over(pid: int) -> bool:
    """Whether the process is over; reaps orphans that are."""
    while over := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
        if over.si_pid == pid:
            return True
        os.waitpid(over.si_pid, 0)
    return False


def _signal(group: int, number: signal.Signals) -> None:
    """All descendants; the group of the first one where they are not to be seen."""
    if not signal_all(number):
        _signal_group(group, number)


def _signal_group(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _usual_signals() -> None:
    """Undo what this process and its parents did to signals."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
