"""python -m benchmarks.soak [SECONDS]: the fleet of the chaos drill without faults, and how it grows by the hour."""

import signal
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import linear_regression
from tempfile import TemporaryDirectory

from benchmarks.chaos.database import database
from benchmarks.chaos.fleet import Fleet, Size, fleet
from benchmarks.chaos.ledger import Call, percentile, read_calls
from tests.support import processes
from tests.support.rows import execute

SECONDS = 3_600
SAMPLES = 60
# Caches fill and pools grow at first.
WARM_UP_SHARE = 0.4
HOUR = 3_600
# A server may grow by that much in an hour. Short runs overstate it, since allocators grow in steps.
MEMORY_MIB_PER_HOUR = 48.0
FILES_PER_HOUR = 20.0
# Rows that come with each job: its own, its events, and nothing else for as long as records are kept.
RECORDS = ("jobs_job", "jobs_jobevent", "jobs_joblabel")
ROWS_PER_JOB = 6.0
# Of 12 stretches of five minutes: 9 kinds (submitted, and what each of the 4 clusters accepts and completes) by each of
# the 8 threads that write, 864 rows. Servers make 9 a stretch of them once it is over, which short runs do not see.
ACTIVITY, ACTIVITY_ROWS_PER_HOUR = "jobs_jobactivity", 1_000.0
# No other table grows, but for a slot of a count here and there.
OTHER_ROWS_PER_HOUR = 50.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    at: float
    memory_mib: Sequence[float]
    files: Sequence[int]
    rows: Mapping[str, int]


def main() -> int:
    # So that what was mounted is unmounted.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else SECONDS
    with ExitStack() as stack:
        folder = stack.enter_context(TemporaryDirectory(prefix="rainbow-soak-"))
        running = stack.enter_context(fleet(stack.enter_context(database(small=False)), Path(folder), Size()))
        samples = _watch(running, seconds)
        calls = read_calls(running.calls)
    failed = tell_calls(calls, seconds)
    return 1 if tell_growth(samples) or failed else 0


def tell_calls(calls: Sequence[Call], seconds: int) -> int:
    """Prints those that failed, with the seconds since the first call began, and says how many."""
    failed = [call for call in calls if call.failure]
    took = [call.ended - call.began for call in calls]
    print(
        f"{len(calls) - len(failed):,} jobs submitted in {seconds:,} s, {len(failed)} calls failed, "
        f"p99 {percentile(took, 0.99):.2f} s, longest {max(took):.2f} s"
    )
    first = min(call.began for call in calls)
    for call in failed:
        print(f"failed from {call.began - first:.1f} s to {call.ended - first:.1f} s: {call.failure}")
    print()
    return len(failed)


def _watch(running: Fleet, seconds: int) -> list[Sample]:
    """What was there after the warm-up."""
    began, samples = time.monotonic(), list[Sample]()
    while (passed := time.monotonic() - began) < seconds:
        if passed >= WARM_UP_SHARE * seconds:
            samples.append(_sample(running))
        time.sleep(seconds / SAMPLES)
    return samples


def _sample(running: Fleet) -> Sample:
    pids = [server.process.pid for server in running.servers]
    names = [name for (name,) in execute(running.database.url, _TABLES)]
    counts = ", ".join(f"(SELECT COUNT(*) FROM {name})" for name in names)
    [numbers] = execute(running.database.url, f"SELECT {counts}")
    return Sample(
        at=time.monotonic(),
        memory_mib=[sum(_memory_mib(each) for each in _family(pid)) for pid in pids],
        files=[sum(len(list(Path(f"/proc/{each}/fd").iterdir())) for each in _family(pid)) for pid in pids],
        rows=dict(zip(names, numbers, strict=True)),
    )


_TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"


def _family(pid: int) -> list[int]:
    return [pid, *processes.descendants(pid)]


def _memory_mib(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / 1024


def tell_growth(samples: Sequence[Sample]) -> bool:
    """Prints growth by the hour with its bounds, and says whether any is exceeded."""
    first, last = samples[0], samples[-1]
    jobs = last.rows["jobs_job"] - first.rows["jobs_job"]
    records = sum(last.rows[name] - first.rows[name] for name in RECORDS)
    others = {name: _slope(samples, [sample.rows[name] for sample in samples]) for name in last.rows}
    rows = [("rows for each job", records / jobs, ROWS_PER_JOB)]
    bounds = {ACTIVITY: ACTIVITY_ROWS_PER_HOUR}
    rows += [
        (f"rows of {name}", slope, bounds.get(name, OTHER_ROWS_PER_HOUR))
        for name, slope in others.items()
        if name not in RECORDS
    ]
    for place in range(len(first.files)):
        memory = _slope(samples, [sample.memory_mib[place] for sample in samples])
        files = _slope(samples, [sample.files[place] for sample in samples])
        rows.append((f"MiB of server {place + 1}, now {last.memory_mib[place]:.0f}", memory, MEMORY_MIB_PER_HOUR))
        rows.append((f"open files of server {place + 1}, now {last.files[place]}", files, FILES_PER_HOUR))
    print("| what | growth in an hour | bound |\n| --- | --- | --- |")
    for what, growth, bound in rows:
        if growth or not what.startswith("rows of"):
            print(f"| {what} | {growth:.1f} | {bound:g} |{' EXCEEDED' if growth > bound else ''}")
    return any(growth > bound for _, growth, bound in rows)


def _slope(samples: Sequence[Sample], values: Sequence[float]) -> float:
    return linear_regression([sample.at for sample in samples], values).slope * HOUR


if __name__ == "__main__":
    sys.exit(main())
