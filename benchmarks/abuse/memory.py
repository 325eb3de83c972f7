"""A server's resident memory (VmRSS of proc_pid_status(5)), sampled continuously."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_EVERY_SECONDS = 0.02
_MIB = 1024 * 1024


@contextmanager
def peak_of(pids: list[int]) -> Iterator[list[float]]:
    """Yields a list whose one element is the peak of these processes' sum so far, in MiB."""
    peak, done = [memory_of(pids)], threading.Event()

    def look() -> None:
        while not done.wait(_EVERY_SECONDS):
            peak[0] = max(peak[0], memory_of(pids))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield peak
    finally:
        done.set()
        thread.join()


def memory_of(pids: list[int]) -> float:
    """In MiB; 0 for a process that is gone."""
    return sum(_resident(pid) for pid in pids) / _MIB


def _resident(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:")), 0)
