"""What a look at the queue costs when few and when many jobs wait."""

from benchmarks import cases
from benchmarks.bench import Bench
from benchmarks.cases import JOBS, Case
from benchmarks.cluster import register
from benchmarks.measure import compare
from benchmarks.report import Report

FEW, MANY = 10_000, 1_000_000


def measure(bench: Bench) -> Report:
    return Report(
        title=f"RequestJobs({JOBS}) while jobs wait",
        yardstick=f"{FEW:,}",
        rows=compare([_case(bench, FEW), _case(bench, MANY)], bench.plan),
    )


def _case(bench: Bench, waiting: int) -> Case:
    """Each number of jobs has a server and a database of its own."""
    server = bench.start_server()
    cluster = register(server, "requests")
    cluster.add_jobs(waiting)
    return cases.request_jobs(server, cluster, name=f"{waiting:,} waiting")
