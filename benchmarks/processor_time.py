"""Processor time and memory of processes, read from /proc (proc_pid_stat(5), proc_pid_status(5), proc_stat(5))."""

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")
_PROC = Path("/proc")


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineTime:
    """Seconds since the machine's start, summed over its processors; `stolen` went to other virtual machines."""

    busy: float
    stolen: float
    total: float


def machine_time() -> MachineTime:
    ticks = [int(value) for value in (_PROC / "stat").read_text().splitlines()[0].split()[1:9]]
    _, _, _, idle, waiting_for_disk, _, _, stolen = ticks
    busy = sum(ticks) - idle - waiting_for_disk - stolen
    return MachineTime(busy=busy / _TICK, stolen=stolen / _TICK, total=sum(ticks) / _TICK)


def time_of_tree(root: int) -> float:
    """Seconds used by a process, its descendants, and those of them that have ended; 0 when it is gone."""
    processes = dict(_processes())
    return sum(_time_below(root, processes))


def waits_of_tree(root: int) -> float:
    """Seconds for which threads of a process and its descendants could have run and had no processor."""
    parents = {pid: parent for pid, (parent, _) in _processes()}
    return sum(map(_waits, _below(root, parents)))


def peak_memory(pid: int) -> int:
    """The peak of resident memory (VmHWM), in bytes."""
    lines = (_PROC / str(pid) / "status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


def _time_below(root: int, processes: dict[int, tuple[int, float]]) -> Iterator[float]:
    if root in processes:
        yield processes[root][1]
        for pid, (parent, _) in processes.items():
            if parent == root:
                yield from _time_below(pid, processes)


def _below(root: int, parents: Mapping[int, int]) -> Iterator[int]:
    yield root
    for pid, parent in parents.items():
        if parent == root:
            yield from _below(pid, parents)


def _waits(pid: int) -> float:
    """https://docs.kernel.org/scheduler/sched-stats.html"""
    seconds = 0.0
    for thread in (_PROC / str(pid) / "task").glob("*"):
        with suppress(FileNotFoundError, ProcessLookupError):
            seconds += int((thread / "schedstat").read_text().split()[1]) / 1e9
    return seconds


def _processes() -> Iterator[tuple[int, tuple[int, float]]]:
    """Every process with its parent and its time, which includes that of its ended children."""
    for folder in _PROC.glob("[0-9]*"):
        try:
            text = (folder / "stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        # The name, in parentheses, may hold spaces and parentheses.
        fields = text.rpartition(")")[2].split()
        yield int(folder.name), (int(fields[1]), sum(map(int, fields[11:15])) / _TICK)
