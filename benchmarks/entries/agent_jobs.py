"""How many trivial jobs an agent runs in a second, beside what runs them without rainbow."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace

from benchmarks.bench import Bench, Server
from benchmarks.load import Load
from benchmarks.measure import Row, Sample, Times, summarize
from benchmarks.processor_time import time_of_tree
from benchmarks.report import Report
from benchmarks.schedulers import SLOTS, TASKS, Seen, Way, versions, ways

# The Slurm of the tests starts a dozen in a second.
JOBS = {"local": 500, "slurm": 60, "flux": 200}


def measure(bench: Bench) -> Report:
    server = bench.start_server()
    with ExitStack() as stack:
        kinds = ways(bench, server, stack)
        rows = [
            row for name, some in kinds.items() for row in _compared(some, bench.plan.jobs or JOBS[name], server, bench)
        ]
    return Report(
        title=f"Jobs `true` from submission to the report of their ends: {SLOTS} slots of this machine, Slurm, Flux",
        yardstick="the row without an agent before it",
        rows=rows,
        notes=[
            f"`calls` are jobs; without an agent arrays of sbatch, of up to {TASKS} tasks, and `flux submit --cc`",
            "p50 and p99 are from the submission of all until a job is over; `load` is the agent's own",
            *versions(),
        ],
    )


def _latencies(seen: Sequence[Seen]) -> list[float]:
    """Of each job."""
    before = [0, *(moment.over for moment in seen)]
    pairs = zip(before, seen, strict=False)
    return [moment.after_seconds for over, moment in pairs for _ in range(moment.over - over)]


def _compared(ways: list[Way], jobs: int, server: Server, bench: Bench) -> list[Row]:
    rounds = [[_sample(way, jobs, server) for way in ways] for _ in range(bench.plan.rounds)]
    columns = [list(samples) for samples in zip(*rounds, strict=True)]
    return [
        Row(name=way.name, in_flight=jobs, samples=samples, yardstick=columns[0])
        for way, samples in zip(ways, columns, strict=True)
    ]


def _sample(way: Way, jobs: int, server: Server) -> Sample:
    before, own = Times.read(server), _own_time(way)
    seen = way.run(jobs)
    spent = Times.read(server).since(before)
    load = Load(seconds=seen[-1].after_seconds, latencies=_latencies(seen), failed=0)
    sample = summarize(load, spent)
    own = _own_time(way) - own
    return replace(sample, load_time=own, others_time=max(0.0, sample.others_time - own))


def _own_time(way: Way) -> float:
    return time_of_tree(way.pid) if way.pid else 0.0
