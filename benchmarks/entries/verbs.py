"""The three verbs of the queue, one call each, beside the transport's limit: a call that does nothing."""

from benchmarks import cases, published_cases
from benchmarks.bench import Bench, Server
from benchmarks.cases import Case
from benchmarks.cluster import Cluster, register
from benchmarks.measure import compare
from benchmarks.report import Report
from benchmarks.supply import Supply

_WAITING = 10_000


def measure(bench: Bench) -> Report:
    server = bench.start_server()
    submitting = register(server, "submits")
    submitted: list[int] = []
    rows = compare(contenders(server, submitting, submitted), bench.plan)
    return Report(
        title="The verbs, one call each",
        yardstick="no-op",
        rows=rows,
        notes=[f"{len(submitted):,} submissions were answered, and as many jobs wait"],
        failures=lost(submitting, submitted),
    )


def contenders(server: Server, submitting: Cluster, submitted: list[int]) -> list[Case]:
    """The first is the yardstick. What submissions are answered with is added to `submitted`."""
    requesting, accepting = register(server, "requests"), register(server, "accepts")
    published = register(server, "published")
    requesting.add_jobs(_WAITING)
    supply = Supply(accepting.add_jobs)
    return [
        cases.serial(server),
        cases.submit_job(submitting, submitted=submitted),
        cases.request_jobs(requesting),
        cases.accept_jobs(accepting, supply),
        published_cases.submit_job(published),
        published_cases.request_jobs(requesting),
        published_cases.accept_jobs(accepting, supply),
    ]


def lost(cluster: Cluster, submitted: list[int]) -> list[str]:
    """No answered job may be missing, and none may be there twice."""
    distinct, waiting = len(set(submitted)), cluster.count_waiting()
    if distinct == waiting == len(submitted):
        return []
    return [f"{len(submitted):,} submissions were answered with {distinct:,} ids, but {waiting:,} jobs wait"]
