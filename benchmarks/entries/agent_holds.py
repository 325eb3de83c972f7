"""What it costs an agent to hold many jobs of which there is no news."""

import os
import sys
import time
from dataclasses import replace
from statistics import median

from benchmarks.bench import Bench, Server
from benchmarks.cluster import register
from benchmarks.load import Load
from benchmarks.measure import Row, Sample, Times, summarize
from benchmarks.processor_time import peak_memory, time_of_tree
from benchmarks.report import Report
from rainbow.agent.context import HEARTBEAT
from tests.support import processes

JOBS = 10_000
# Of these each has the heartbeats of all jobs.
_BEATS = 2
_PATIENCE_SECONDS = 600
MOST_OF_A_CORE, MOST_MIB = 0.05, 150


def measure(bench: Bench) -> Report:
    server, jobs = bench.start_server(), bench.plan.jobs or JOBS
    cluster = register(server, "holding")
    cluster.add_jobs(jobs)
    words = [cluster.address, cluster.name, cluster.secret, str(bench.folder / "holding"), str(jobs)]
    command = [sys.executable, "-m", "benchmarks.holding_agent", *words]
    log = bench.folder / "holding.log"
    process = processes.start(command, log=log, environment=dict(os.environ))
    try:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while cluster.count_running() < jobs:
            if time.monotonic() > deadline or process.poll() is not None:
                raise RuntimeError(f"the agent does not run {jobs} jobs:\n{log.read_text()[-2000:]}")
            time.sleep(1)
        time.sleep(HEARTBEAT.total_seconds())
        samples = [_sample(server, process.pid, jobs) for _ in range(bench.plan.rounds)]
        memory = peak_memory(process.pid) / 2**20
    finally:
        process.terminate()
        process.wait()
    share = median(sample.load_time / sample.seconds for sample in samples)
    return Report(
        title=f"An agent that holds {jobs:,} running jobs of which there is no news",
        yardstick="itself",
        rows=[Row(name="heartbeats", in_flight=jobs, samples=samples, yardstick=samples)],
        notes=[
            f"it used {share:.1%} of a core and {memory:.0f} MiB; {MOST_OF_A_CORE:.0%} and {MOST_MIB} MiB are the goal",
            f"`calls` are heartbeats, one of each job every {HEARTBEAT.seconds} s; `load` is the agent's own",
        ],
        figures={"share of a core": share, "MiB": memory},
    )


def _sample(server: Server, pid: int, jobs: int) -> Sample:
    before, own = Times.read(server), time_of_tree(pid)
    beat = HEARTBEAT.total_seconds()
    time.sleep(_BEATS * beat)
    own, spent = time_of_tree(pid) - own, Times.read(server).since(before)
    sample = summarize(Load(seconds=_BEATS * beat, latencies=[beat] * jobs * _BEATS, failed=0), spent)
    return replace(sample, load_time=own, others_time=max(0.0, sample.others_time - own))
