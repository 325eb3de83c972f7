"""The three verbs of the queue, one call each, beside the transport's limit: a call that does nothing."""

from benchmarks import cases
from benchmarks.bench import Bench
from benchmarks.cluster import Cluster, register
from benchmarks.measure import compare
from benchmarks.report import Report
from benchmarks.supply import Supply

_WAITING = 10_000


def measure(bench: Bench) -> Report:
    server = bench.start_server()
    submitting, requesting, accepting = (register(server, name) for name in ("submits", "requests", "accepts"))
    requesting.add_jobs(_WAITING)
    submitted: list[int] = []
    rows = compare(
        [
            cases.serial(server),
            cases.submit_job(submitting, submitted=submitted),
            cases.request_jobs(requesting),
            cases.accept_jobs(accepting, Supply(accepting.add_jobs)),
        ],
        bench.plan,
    )
    return Report(
        title="The verbs, one call each",
        yardstick="no-op",
        rows=rows,
        notes=[f"{len(submitted):,} submissions were answered, and as many jobs wait"],
        failures=lost(submitting, submitted),
    )


def lost(cluster: Cluster, submitted: list[int]) -> list[str]:
    """No answered job may be missing, and none may be there twice."""
    distinct, waiting = len(set(submitted)), cluster.count_waiting()
    if distinct == waiting == len(submitted):
        return []
    return [f"{len(submitted):,} submissions were answered with {distinct:,} ids, but {waiting:,} jobs wait"]
