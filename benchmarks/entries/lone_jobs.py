"""How long a job waits for its start where no other does, through an agent and by the scheduler alone."""

import time
from contextlib import ExitStack
from pathlib import Path
from random import random

from benchmarks.bench import Bench, Server
from benchmarks.load import Load
from benchmarks.measure import Row, Sample, Times, by_latency, summarize
from benchmarks.report import Report
from benchmarks.schedulers import Way, versions, ways

JOBS = 20
# Slurm's scheduler may need a moment until it is idle again.
_PAUSE_SECONDS = 0.3


def measure(bench: Bench) -> Report:
    server = bench.start_server()
    with ExitStack() as stack:
        rows = [row for some in ways(bench, server, stack).values() for row in _compared(some, server, bench)]
    return Report(
        title="A lone job, from before its submission until its command runs",
        yardstick="the row without an agent before it",
        rows=rows,
        notes=[
            "one job after the other, each submitted by one call of the command, or one of the client's",
            "without an agent: a process, `sbatch` and `flux submit`",
            *versions(),
        ],
    )


def _compared(ways: list[Way], server: Server, bench: Bench) -> list[Row]:
    """One job of each way in turn, so that what disturbs one disturbs the others."""
    jobs, moment = bench.plan.jobs or JOBS, bench.folder / "moment"
    for way in ways:
        _start(way, moment, phase=0.0)
    rounds = []
    for _ in range(bench.plan.rounds):
        before = Times.read(server)
        waits = [[_start(way, moment, phase=phase) for way in ways] for phase in (random() for _ in range(jobs))]
        spent = Times.read(server).since(before)
        rounds.append([_sample(list(column), spent) for column in zip(*waits, strict=True)])
    columns = [list(samples) for samples in zip(*rounds, strict=True)]
    return [
        Row(name=_name(way), in_flight=1, samples=samples, yardstick=columns[0], compared=by_latency)
        for way, samples in zip(ways, columns, strict=True)
    ]


def _name(way: Way) -> str:
    return "a process" if way.name.startswith("xargs") else way.name


def _start(way: Way, moment: Path, *, phase: float) -> float:
    """Seconds until the job's command ran, by this machine's clock.

    Slurm starts jobs once a second. So the ways of a round begin at the same fraction of one, another in each round:
    one that always follows upon the end of a job of the other would tell of that.
    """
    time.sleep((phase - time.time()) % 1)
    began = time.time()
    wait = way.submit(f"date +%s.%N > {moment}.new && mv {moment}.new {moment}")
    wait()
    started = float(moment.read_text())
    moment.unlink()
    time.sleep(_PAUSE_SECONDS)
    return started - began


def _sample(waits: list[float], spent: Times) -> Sample:
    return summarize(Load(seconds=sum(waits), latencies=waits, failed=0), spent)
