"""How many trivial jobs an agent runs in a second, beside what runs them without rainbow."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
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
from tests.support.flux_instance import IS_THERE, RealInstance, flux_version
from tests.support.slurm_cluster import SlurmCluster, missing_commands

JOBS, SLOTS = 500, 8
# The Slurm of the tests starts a dozen in a second.
JOBS_ON_SLURM = 60
JOBS_ON_FLUX, BROKERS_OF_FLUX = 200, 2
# How many may wait in a scheduler's queue for the agent, and the most tasks of one array, by MaxArraySize of the tests.
AHEAD, TASKS = 500, 1000
_PATIENCE_SECONDS = 300
# A look takes a tenth of the time at most, since that of Slurm at ten thousand tasks takes long.
_AGAIN_SECONDS, _BETWEEN_LOOKS = 0.05, 9
_TRUE = pb.JobSpec(name="true", nodes=1, command="true")


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    after_seconds: float
    over: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """A way to run so many jobs `true`, to the end of the last. `run` returns what it saw of their ends meanwhile.

    `pid` is the agent's process; None without one.
    """

    name: str
    jobs: int
    run: Callable[[int], Sequence[Seen]]
    pid: int | None = None


def measure(bench: Bench) -> Report:
    server = bench.start_server()
    with ExitStack() as stack:
        missing, kinds = missing_commands(), list[list[Way]]()
        if "local" in bench.plan.schedulers:
            kinds.append(list(_here(bench.folder, server, stack, bench.plan.jobs or JOBS)))
        if "slurm" in bench.plan.schedulers and not missing:
            kinds.append(list(_on_slurm(bench.folder, server, stack, bench.plan.jobs or JOBS_ON_SLURM)))
        if "flux" in bench.plan.schedulers and IS_THERE:
            kinds.append(list(_on_flux(bench.folder, server, stack, bench.plan.jobs or JOBS_ON_FLUX)))
        rows = [row for ways in kinds for row in _compared(ways, server, bench)]
    return Report(
        title=f"Jobs `true` from submission to the report of their ends: {SLOTS} slots of this machine, Slurm, Flux",
        yardstick="the row without an agent before it",
        rows=rows,
        notes=[
            f"`calls` are jobs; on Slurm without an agent arrays of sbatch, of up to {TASKS} tasks",
            "p50 and p99 are from the submission of all until a job is over; `load` is the agent's own",
            *([f"Flux is {flux_version()}"] if IS_THERE else ["Flux is not installed"]),
            *([f"Slurm is not installed: {', '.join(missing)}"] if missing else []),
        ],
    )


def _here(folder: Path, server: Server, stack: ExitStack, jobs: int) -> Iterator[Way]:
    yield Way(name=f"xargs -P{SLOTS}", jobs=jobs, run=_xargs)
    cluster = register(server, "jobs-here")
    words = ["--executor", "local", "--slots", str(SLOTS)]
    pid = stack.enter_context(running_agent(cluster, words, folder=folder, environment=dict(os.environ)))
    yield Way(name="agent on this machine", jobs=jobs, run=_through(cluster), pid=pid)


def _on_slurm(folder: Path, server: Server, stack: ExitStack, jobs: int) -> Iterator[Way]:
    slurm = SlurmCluster(folder=folder / "slurm-of-jobs")
    slurm.folder.mkdir()
    slurm.start()
    stack.callback(slurm.stop)
    yield Way(name="sbatch --array", jobs=jobs, run=_sbatch(slurm))
    cluster = register(server, "jobs-on-slurm")
    words = ["--executor", "slurm", "--ahead", str(min(jobs, AHEAD))]
    environment = dict(slurm.environment)
    pid = stack.enter_context(running_agent(cluster, words, folder=folder, environment=environment))
    yield Way(name="agent on Slurm", jobs=jobs, run=_through(cluster), pid=pid)


def _on_flux(folder: Path, server: Server, stack: ExitStack, jobs: int) -> Iterator[Way]:
    (folder / "flux-of-jobs").mkdir()
    flux = RealInstance(folder / "flux-of-jobs", nodes=BROKERS_OF_FLUX)
    stack.callback(flux.stop)
    flux.start()
    yield Way(name="flux submit --cc", jobs=jobs, run=_flux_submit(flux))
    cluster = register(server, "jobs-on-flux")
    words = ["--executor", "flux", "--ahead", str(min(jobs, AHEAD))]
    # With the way to Flux's bindings, where there is one.
    environment = {**os.environ, **flux.environment}
    pid = stack.enter_context(running_agent(cluster, words, folder=folder, environment=environment))
    yield Way(name="agent on Flux", jobs=jobs, run=_through(cluster), pid=pid)


def _xargs(jobs: int) -> Sequence[Seen]:
    """It says nothing before the end of all."""
    numbers, began = "\n".join(map(str, range(jobs))).encode(), time.monotonic()
    subprocess.run(["xargs", f"-P{SLOTS}", "-n1", "true"], input=numbers, check=True, timeout=_PATIENCE_SECONDS)
    return [Seen(after_seconds=time.monotonic() - began, over=jobs)]


def _sbatch(slurm: SlurmCluster) -> Callable[[int], Sequence[Seen]]:
    def run(jobs: int) -> Sequence[Seen]:
        began = time.monotonic()
        for first in range(0, jobs, TASKS):
            words = ["--parsable", "--output=/dev/null", "--partition=debug", "--wrap=true"]
            number = slurm.run("sbatch", *words, f"--array=1-{min(TASKS, jobs - first)}").strip()
            if not number.isdigit():
                raise RuntimeError("sbatch did not take an array")
        return _followed(lambda: jobs - slurm.run("squeue", "--noheader", "--array").count("\n"), jobs, began)

    return run


def _flux_submit(flux: RealInstance) -> Callable[[int], Sequence[Seen]]:
    """Flux is asked when each came to its end once all have: an answer costs as much as some jobs."""

    def run(jobs: int) -> Sequence[Seen]:
        began = time.time()
        words = ["--quiet", "--wait", "--output=/dev/null", "true"]
        flux.run("submit", f"--cc=1-{jobs}", *words, patience_seconds=_PATIENCE_SECONDS + jobs)
        told = flux.run("jobs", "-a", f"--count={jobs}", "-no", "{t_inactive}").split()
        ends = sorted(float(moment) - began for moment in told)
        if len(ends) < jobs:
            raise RuntimeError(f"flux knows the ends of {len(ends)} of {jobs} jobs")
        return [Seen(after_seconds=end, over=over) for over, end in enumerate(ends, start=1)]

    return run


def _through(cluster: Cluster) -> Callable[[int], Sequence[Seen]]:
    def run(jobs: int) -> Sequence[Seen]:
        before, began = cluster.count_completed(), time.monotonic()
        cluster.add_jobs(jobs, _TRUE)
        return _followed(lambda: cluster.count_completed() - before, jobs, began)

    return run


def _followed(count: Callable[[], int], jobs: int, began: float) -> Sequence[Seen]:
    """Gives up when nothing came to an end for long."""
    seen, changed_at = [Seen(after_seconds=0, over=0)], began
    while True:
        looked_at = time.monotonic()
        over, now = count(), time.monotonic()
        if over >= jobs:
            return [*seen, Seen(after_seconds=now - began, over=jobs)]
        if over > seen[-1].over:
            seen.append(Seen(after_seconds=now - began, over=over))
            changed_at = now
        if now - changed_at > _PATIENCE_SECONDS:
            raise RuntimeError(f"no job came to its end within {_PATIENCE_SECONDS} s")
        time.sleep(max(_AGAIN_SECONDS, _BETWEEN_LOOKS * (now - looked_at)))


def _latencies(seen: Sequence[Seen]) -> list[float]:
    """Of each job."""
    before = [0, *(moment.over for moment in seen)]
    pairs = zip(before, seen, strict=False)
    return [moment.after_seconds for over, moment in pairs for _ in range(moment.over - over)]


def _compared(ways: list[Way], server: Server, bench: Bench) -> list[Row]:
    rounds = [[_sample(way, server) for way in ways] for _ in range(bench.plan.rounds)]
    columns = [list(samples) for samples in zip(*rounds, strict=True)]
    return [
        Row(name=way.name, in_flight=way.jobs, samples=samples, yardstick=columns[0])
        for way, samples in zip(ways, columns, strict=True)
    ]


def _sample(way: Way, server: Server) -> Sample:
    before, own = Times.read(server), _own_time(way)
    seen = way.run(way.jobs)
    spent = Times.read(server).since(before)
    load = Load(seconds=seen[-1].after_seconds, latencies=_latencies(seen), failed=0)
    sample = summarize(load, spent)
    own = _own_time(way) - own
    return replace(sample, load_time=own, others_time=max(0.0, sample.others_time - own))


def _own_time(way: Way) -> float:
    return time_of_tree(way.pid) if way.pid else 0.0
