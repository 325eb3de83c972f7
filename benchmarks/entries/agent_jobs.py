"""How many trivial jobs an agent runs in a second, beside what runs them without rainbow."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.agents import running_agent
from benchmarks.bench import Bench, Server
from benchmarks.cluster import Cluster, register
from benchmarks.load import Load
from benchmarks.measure import Row, Sample, Times, summarize
from benchmarks.processor_time import time_of_tree
from benchmarks.report import Report
from rainbow.protos import rainbow_pb2 as pb
from tests.support.slurm_cluster import SlurmCluster, missing_commands

JOBS, SLOTS = 500, 8
# The Slurm of the tests starts a dozen in a second.
JOBS_ON_SLURM = 60
_PATIENCE_SECONDS = 300
_AGAIN_SECONDS = 0.05
_TRUE = pb.JobSpec(name="true", nodes=1, command="true")


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """A way to run so many jobs `true`, to the end of the last. `pid` is the agent's process; None without one."""

    name: str
    jobs: int
    run: Callable[[int], None]
    pid: int | None = None


def measure(bench: Bench) -> Report:
    server = bench.start_server()
    with ExitStack() as stack:
        kinds = [list(_here(bench.folder, server, stack))]
        if not (missing := missing_commands()):
            kinds.append(list(_on_slurm(bench.folder, server, stack)))
        rows = [row for ways in kinds for row in _compared(ways, server, bench)]
    return Report(
        title=f"Jobs `true` from submission to the report of the last end: {JOBS} in {SLOTS} slots of this machine",
        yardstick="the row without an agent before it",
        rows=rows,
        notes=[
            f"`calls` are jobs; on Slurm {JOBS_ON_SLURM}, as one array of sbatch where there is no agent",
            "p50 and p99 are the time until all were over; `load` is the agent's own, with the runners that live",
            *([f"Slurm is not installed: {', '.join(missing)}"] if missing else []),
        ],
    )


def _here(folder: Path, server: Server, stack: ExitStack) -> Iterator[Way]:
    yield Way(name=f"xargs -P{SLOTS}", jobs=JOBS, run=_xargs)
    cluster = register(server, "jobs-here")
    words = ["--executor", "local", "--slots", str(SLOTS)]
    pid = stack.enter_context(running_agent(cluster, words, folder=folder, environment=dict(os.environ)))
    yield Way(name="agent on this machine", jobs=JOBS, run=_through(cluster), pid=pid)


def _on_slurm(folder: Path, server: Server, stack: ExitStack) -> Iterator[Way]:
    slurm = SlurmCluster(folder=folder / "slurm-of-jobs")
    slurm.folder.mkdir()
    slurm.start()
    stack.callback(slurm.stop)
    yield Way(name="sbatch --array", jobs=JOBS_ON_SLURM, run=_sbatch(slurm))
    cluster = register(server, "jobs-on-slurm")
    words = ["--executor", "slurm", "--ahead", str(JOBS_ON_SLURM)]
    environment = dict(slurm.environment)
    pid = stack.enter_context(running_agent(cluster, words, folder=folder, environment=environment))
    yield Way(name="agent on Slurm", jobs=JOBS_ON_SLURM, run=_through(cluster), pid=pid)


def _xargs(jobs: int) -> None:
    numbers = "\n".join(map(str, range(jobs))).encode()
    subprocess.run(["xargs", f"-P{SLOTS}", "-n1", "true"], input=numbers, check=True, timeout=_PATIENCE_SECONDS)


def _sbatch(slurm: SlurmCluster) -> Callable[[int], None]:
    def run(jobs: int) -> None:
        words = ["--parsable", "--output=/dev/null", "--partition=debug", f"--array=1-{jobs}", "--wrap=true"]
        if not slurm.run("sbatch", *words).strip().isdigit():
            raise RuntimeError("sbatch did not take an array")
        _until(lambda: not slurm.run("squeue", "--noheader").strip())

    return run


def _through(cluster: Cluster) -> Callable[[int], None]:
    def run(jobs: int) -> None:
        done = cluster.count_completed() + jobs
        cluster.add_jobs(jobs, _TRUE)
        _until(lambda: cluster.count_completed() >= done)

    return run


def _until(is_done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not is_done():
        if time.monotonic() > deadline:
            raise RuntimeError(f"jobs were not over within {_PATIENCE_SECONDS} s")
        time.sleep(_AGAIN_SECONDS)


def _compared(ways: list[Way], server: Server, bench: Bench) -> list[Row]:
    rounds = [[_sample(way, server) for way in ways] for _ in range(bench.plan.rounds)]
    columns = [list(samples) for samples in zip(*rounds, strict=True)]
    return [
        Row(name=way.name, in_flight=way.jobs, samples=samples, yardstick=columns[0])
        for way, samples in zip(ways, columns, strict=True)
    ]


def _sample(way: Way, server: Server) -> Sample:
    before, own, began = Times.read(server), _own_time(way), time.monotonic()
    way.run(way.jobs)
    seconds = time.monotonic() - began
    spent = Times.read(server).since(before)
    sample = summarize(Load(seconds=seconds, latencies=[seconds] * way.jobs, failed=0), spent)
    own = _own_time(way) - own
    return replace(sample, load_time=own, others_time=max(0.0, sample.others_time - own))


def _own_time(way: Way) -> float:
    return time_of_tree(way.pid) if way.pid else 0.0
