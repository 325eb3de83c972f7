"""The latency of a single call, beside its floor: a sync of the disk and a round trip."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks import cases
from benchmarks.bench import Bench
from benchmarks.cases import Case
from benchmarks.cluster import register
from benchmarks.load import Load
from benchmarks.measure import Sample, Times, by_latency, compare, summarize
from benchmarks.report import Report

_PAGE = bytes(4096)
_PAGES = 256
# Disks are quick in one tenth of a second and slow in the next: what is compared has to be measured close together.
_SLICES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Syncs:
    """Writes a page of 4 KiB and syncs it, repeatedly, in a file of fixed length."""

    folder: Path
    name: str = "fdatasync of 4 KiB"
    jobs: int = 0

    def measure(self, *, in_flight: int, seconds: float) -> Sample:
        with _written(self.folder / "syncs") as file:
            before, began = Times.read(), time.perf_counter()
            latencies = list(_sync_until(file, began + seconds))
            taken = time.perf_counter() - began
            spent = Times.read().since(before)
        return summarize(Load(seconds=taken, latencies=latencies, failed=0), spent)


@dataclass(frozen=True, slots=True, kw_only=True)
class Both:
    first: Syncs
    second: Case
    name: str = "fdatasync + no-op"
    jobs: int = 0

    def measure(self, *, in_flight: int, seconds: float) -> Sample:
        first = self.first.measure(in_flight=in_flight, seconds=seconds / 2)
        second = self.second.measure(in_flight=in_flight, seconds=seconds / 2)
        return replace(
            second,
            calls=min(first.calls, second.calls),
            seconds=(first.p50 + second.p50) * min(first.calls, second.calls),
            p50=first.p50 + second.p50,
            p99=first.p99 + second.p99,
        )


def measure(bench: Bench) -> Report:
    server = bench.start_server()
    cluster = register(server, "submits")
    syncs, no_op = Syncs(folder=bench.folder), cases.serial(server)
    rows = compare(
        [Both(first=syncs, second=no_op), syncs, no_op, cases.submit_job(cluster)],
        replace(bench.plan, in_flight=(1,), rounds=bench.plan.rounds * _SLICES, seconds=bench.plan.seconds / _SLICES),
        compared=by_latency,
    )
    return Report(title="A lone call, by its median latency", yardstick="fdatasync + no-op", rows=rows)


@contextmanager
def _written(path: Path) -> Iterator[int]:
    file = os.open(path, os.O_RDWR | os.O_CREAT)
    try:
        os.pwrite(file, _PAGE * _PAGES, 0)
        os.fsync(file)
        yield file
    finally:
        os.close(file)
        path.unlink()


def _sync_until(file: int, end: float) -> Iterator[float]:
    number = 0
    while (began := time.perf_counter()) < end or not number:
        os.pwrite(file, _PAGE, number % _PAGES * len(_PAGE))
        os.fdatasync(file)
        number += 1
        yield time.perf_counter() - began
