"""What lies between a submission and the start of its job: the agent, beside the scheduler's own command alone."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

from benchmarks.agents import running_agent
from benchmarks.bench import Bench, Server
from benchmarks.cluster import Cluster, register
from benchmarks.load import Load
from benchmarks.measure import Row, Sample, Times, summarize
from benchmarks.processor_time import time_of_tree
from benchmarks.report import Report
from rainbow.client import Client
from rainbow.records import JobSpec
from tests.support.slurm_cluster import SlurmCluster, missing_commands

# One after the other, each when the one before has started; and all at once.
ONE_BY_ONE, AT_ONCE = 20, 60
_PATIENCE_SECONDS = 90
_numbers = count()

Submit = Callable[[Sequence[str]], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """A way for commands to reach a scheduler. `pid` is the agent's process; None without one."""

    name: str
    submit: Submit
    pid: int | None = None


def measure(bench: Bench) -> Report:
    server = bench.start_server()
    with ExitStack() as stack:
        ways = list(_ways(bench.folder, server, stack))
        rows = [*_compared(ways, server, bench, 1), *_compared(ways, server, bench, AT_ONCE)]
    missing = missing_commands()
    return Report(
        title=f"From submission to start: {ONE_BY_ONE} jobs one by one, and {AT_ONCE} at once",
        yardstick=ways[0].name,
        rows=rows,
        notes=[
            "each job writes down when it started; `calls` are jobs, and `load` is the agent's own",
            "the Slurm of the tests starts jobs in rounds of a second, also those of sbatch",
            *([f"Slurm is not installed: {', '.join(missing)}"] if missing else []),
        ],
    )


def _ways(folder: Path, server: Server, stack: ExitStack) -> Iterator[Way]:
    if not missing_commands():
        slurm = SlurmCluster(folder=folder / "slurm")
        slurm.folder.mkdir()
        slurm.start()
        stack.callback(slurm.stop)
        yield Way(name="sbatch alone", submit=_sbatch(slurm))
        on_slurm = ["--executor", "slurm", "--ahead", str(AT_ONCE)]
        yield stack.enter_context(_way("agent on Slurm", folder, server, on_slurm, dict(slurm.environment)))
    here = ["--executor", "local", "--slots", "6"]
    yield stack.enter_context(_way("agent on this machine", folder, server, here, dict(os.environ)))


def _sbatch(slurm: SlurmCluster) -> Submit:
    words = ["sbatch", "--parsable", "--output=/dev/null", "--partition=debug"]

    def submit(commands: Sequence[str]) -> None:
        for command in commands:
            slurm.run(*words, f"--wrap={command}")

    return submit


@contextmanager
def _way(name: str, folder: Path, server: Server, words: list[str], environment: dict[str, str]) -> Iterator[Way]:
    cluster = register(server, name.replace(" ", "-"))
    with running_agent(cluster, words, folder=folder, environment=environment) as pid:
        yield Way(name=name, submit=_through(cluster), pid=pid)


def _through(cluster: Cluster) -> Submit:
    client = Client(cluster.address, cluster=cluster.name, token=cluster.token)

    def submit(commands: Sequence[str]) -> None:
        if len(commands) == 1:
            client.submit_job(JobSpec(command=commands[0]))
        else:
            client.submit_jobs([JobSpec(command=command) for command in commands])

    return submit


def _compared(ways: Sequence[Way], server: Server, bench: Bench, at_once: int) -> list[Row]:
    """Round after round, so that what disturbs the machine disturbs all alike."""
    rounds = [[_sample(way, server, bench.folder, at_once) for way in ways] for _ in range(bench.plan.rounds)]
    columns = [list(samples) for samples in zip(*rounds, strict=True)]
    return [
        Row(name=way.name, in_flight=at_once, samples=samples, yardstick=columns[0])
        for way, samples in zip(ways, columns, strict=True)
    ]


def _sample(way: Way, server: Server, folder: Path, at_once: int) -> Sample:
    batches = [1] * ONE_BY_ONE if at_once == 1 else [at_once]
    before, began = Times.read(server), time.time()
    own = time_of_tree(way.pid) if way.pid else 0.0
    latencies = [latency for size in batches for latency in _run(way, folder, size)]
    spent = Times.read(server).since(before)
    sample = summarize(Load(seconds=time.time() - began, latencies=latencies, failed=0), spent)
    own = (time_of_tree(way.pid) if way.pid else 0.0) - own
    return replace(sample, load_time=own, others_time=max(0.0, sample.others_time - own))


def _run(way: Way, folder: Path, size: int) -> list[float]:
    files = [folder / f"started{next(_numbers)}" for _ in range(size)]
    began = time.time()
    way.submit([f"date +%s.%N > {file}.new && mv {file}.new {file}" for file in files])
    deadline = began + _PATIENCE_SECONDS
    for file in files:
        while not file.exists():
            if time.time() > deadline:
                raise RuntimeError(f"a job by {way.name} did not start within {_PATIENCE_SECONDS} s")
            time.sleep(0.002)
    return [float(file.read_text()) - began for file in files]
