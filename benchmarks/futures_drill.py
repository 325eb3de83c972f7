"""python -m benchmarks.futures_drill [CALLS]: that many calls of a function as jobs, by one RainbowExecutor."""

import gc
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import rainbow
from benchmarks.agents import running_agent
from benchmarks.bench import Plan, open_bench
from benchmarks.cluster import Cluster, register

CALLS = 10_000
# Longer than any of it takes on a slow machine.
PATIENCE_SECONDS = 3_600
LOOK_EVERY_SECONDS = 0.5
_PLAN = Plan(seconds=0, rounds=1, in_flight=(1,), growth=0)
# Without what is installed here: a job then starts in the tenth of the time.
_PYTHON = f"{sys.executable} -I -S"
_MIB = 1024 * 1024
WATCH = "watch"


@dataclass(slots=True, kw_only=True)
class Seen:
    """The most of each, in the process of the executor. `before` are its bytes of memory without futures."""

    before: int
    most: int = 0
    threads: set[str] = field(default_factory=set)
    connections: int = 0

    def look(self, address: str) -> None:
        self.most = max(self.most, resident())
        self.threads |= {thread.name for thread in threading.enumerate()} - {WATCH}
        self.connections = max(self.connections, connections_to(int(address.rpartition(":")[2])))


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    calls: int
    wrong: int
    submitted_seconds: float
    seconds: float
    processor_seconds: float
    seen: Seen

    def in_words(self) -> str:
        grown = (self.seen.most - self.seen.before) / _MIB
        return (
            f"{self.calls:,} calls in {self.seconds:.0f} s, handed in within {self.submitted_seconds:.1f} s; "
            f"{self.wrong:,} results are wrong; the program needed {self.processor_seconds:.0f} s of processor time, "
            f"{grown:.0f} MiB more memory, {self.seen.connections} connections, and threads: "
            f"{', '.join(sorted(self.seen.threads))}"
        )


def main() -> int:
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else CALLS
    with open_bench(plan=_PLAN, database="sqlite", folder=None, transport="grpcio") as bench, bench.servers_stopped():
        cluster = register(bench.start_server(), "futures")
        words = ["--executor", "local", "--slots", str(4 * (os.cpu_count() or 1))]
        environment = {"PATH": os.environ["PATH"], "HOME": str(bench.folder)}
        with running_agent(cluster, words, folder=bench.folder, environment=environment):
            outcome = _run(cluster, calls, bench.folder)
    print(outcome.in_words(), flush=True)
    return 1 if outcome.wrong else 0


def _run(cluster: Cluster, calls: int, folder: Path) -> Outcome:
    gc.collect()
    with (
        rainbow.RainbowExecutor(cluster.address, cluster=cluster.name, token=cluster.token, python=_PYTHON) as executor,
        _watched(cluster) as seen,
    ):
        began, worked = time.monotonic(), time.process_time()
        futures = [executor.submit(_squared, number) for number in range(calls)]
        submitted = time.monotonic() - began
        wrong = sum(future.result(PATIENCE_SECONDS) != _squared(number) for number, future in enumerate(futures))
        return Outcome(
            calls=calls,
            wrong=wrong,
            submitted_seconds=submitted,
            seconds=time.monotonic() - began,
            processor_seconds=time.process_time() - worked,
            seen=seen,
        )


def resident() -> int:
    """Bytes (VmRSS of proc_pid_status(5))."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))


def connections_to(port: int) -> int:
    """How many sockets of this process are connected to a port, whose other ends are the server's."""
    inodes = {row[9] for row in _tcp() if row[2].endswith(f":{port:04X}")}
    return sum(_socket(entry) in inodes for entry in Path("/proc/self/fd").iterdir())


def _tcp() -> list[list[str]]:
    """https://docs.kernel.org/networking/proc_net_tcp.html"""
    lines = [line for name in ("tcp", "tcp6") for line in Path("/proc/net", name).read_text().splitlines()[1:]]
    return [line.split() for line in lines]


def _socket(entry: Path) -> str:
    """The inode of an open socket; empty for other files, and for one that was closed just now."""
    try:
        return entry.readlink().name.removeprefix("socket:[").removesuffix("]")
    except FileNotFoundError:
        return ""


def _squared(number: int) -> int:
    return number * number


@contextmanager
def _watched(cluster: Cluster) -> Iterator[Seen]:
    is_over, seen = threading.Event(), Seen(before=resident())

    def watch() -> None:
        while not is_over.wait(LOOK_EVERY_SECONDS):
            seen.look(cluster.address)

    thread = threading.Thread(target=watch, name=WATCH)
    thread.start()
    try:
        yield seen
    finally:
        is_over.set()
        thread.join()


if __name__ == "__main__":
    sys.exit(main())
