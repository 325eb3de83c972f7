"""The processes that a job started, in new sessions, orphaned or ignoring signals."""

import contextlib
import os
import signal
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

# A process that SIGKILL does not end waits for a disk or belongs to another user, or starts new ones all the time.
LAST_SECONDS = 10.0
BETWEEN_SECONDS = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """Number and start, in ticks since boot, belong to one process only."""

    number: int
    parent: int
    started: int
    is_over: bool
    is_stopped: bool


def signal_all(number: signal.Signals) -> int:
    """Returns how many descendants may be sent a signal."""
    return signal_each(descendants(), number)


def signal_each(processes: Iterable[Process], number: signal.Signals) -> int:
    """Returns to how many of these it could be sent."""
    return sum(_signal(process, number) for process in processes if not process.is_over)


def kill_all() -> int:
    """Kill all descendants and reap those that become children of this process; how many could not be ended."""
    deadline = time.monotonic() + LAST_SECONDS
    before: set[tuple[int, int]] = set()
    while reap() and time.monotonic() < deadline:
        found = [process for process in descendants() if not process.is_over]
        same = {(process.number, process.started) for process in found}
        # Not so of those that fork and exit all the time: they are gone before they are sent anything.
        if not signal_each(found, signal.SIGKILL) and found and same == before:
            break
        before = same
        time.sleep(BETWEEN_SECONDS)
    # Mostly none is left, which is known without reading all of /proc.
    if not reap():
        return 0
    left = sum(not process.is_over for process in descendants())
    # A child that is there was perhaps not yet there when /proc was read.
    return max(left, 1) if reap() else 0


def reap() -> bool:
    """Whether children are left."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
        return True
    return False


def descendants(of: int = 0) -> list[Process]:
    """Of this process, unless another is named."""
    by_parent: dict[int, list[Process]] = {}
    for process in _processes():
        by_parent.setdefault(process.parent, []).append(process)
    found = list[Process]()
    parents = [of or os.getpid()]
    while parents:
        children = by_parent.pop(parents.pop(), [])
        found += children
        parents += [child.number for child in children]
    return found


def _processes() -> Iterator[Process]:
    for name in os.listdir("/proc"):  # noqa: PTH208  Path.iterdir makes a path of each
        if name.isdigit() and (process := process_of(int(name))):
            yield process


def process_of(number: int) -> Process | None:
    try:
        text = Path(f"/proc/{number}/stat").read_bytes()
    except OSError:
        return None
    # Its name, in brackets, may hold anything (proc(5)).
    fields = text[text.rindex(b")") + 2 :].split()
    return Process(
        number=number,
        parent=int(fields[1]),
        started=int(fields[19]),
        is_over=fields[0] in (b"Z", b"X", b"x"),
        is_stopped=fields[0] in (b"T", b"t"),
    )


def _signal(process: Process, number: signal.Signals) -> bool:
    """By pidfd, since the number may be another process's by now."""
    try:
        handle = os.pidfd_open(process.number)
    except OSError:
        return False
    try:
        now = process_of(process.number)
        if now is None or now.started != process.started:
            return False
        signal.pidfd_send_signal(handle, number)
    except OSError:
        return False
    finally:
        os.close(handle)
    return True
