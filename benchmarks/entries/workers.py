"""One and two processes behind one port. The load shares their processors, so on two there is little to win."""

from collections.abc import Callable
from dataclasses import replace

from benchmarks import cases
from benchmarks.bench import Bench, Server
from benchmarks.cases import Case
from benchmarks.cluster import Cluster, register
from benchmarks.measure import Row, compare
from benchmarks.report import Report
from benchmarks.supply import Supply

_WAITING = 10_000
# The kernel spreads connections over the processes by chance; of few all might come to one.
_CONNECTIONS = 32
_IN_FLIGHT = 64

_CALLS: list[Callable[[Cluster], Case]] = [
    lambda cluster: cases.serial(cluster.server),
    cases.submit_job,
    cases.request_jobs,
    lambda cluster: cases.accept_jobs(cluster, Supply(cluster.add_jobs)),
]


def measure(bench: Bench) -> Report:
    servers = {workers: bench.start_server(workers=workers) for workers in (1, 2)}
    rows: list[Row] = []
    for number, make in enumerate(_CALLS):
        contenders = [_contender(make, server, f"calls-{number}", workers) for workers, server in servers.items()]
        rows += compare(contenders, replace(bench.plan, in_flight=(_IN_FLIGHT,)))
    return Report(title="One and two workers", yardstick="one", rows=rows)


def _contender(make: Callable[[Cluster], Case], server: Server, name: str, workers: int) -> Case:
    cluster = register(server, name)
    cluster.add_jobs(_WAITING)
    case = make(cluster)
    return replace(case, name=f"{case.name}, {workers} worker{'s' * (workers > 1)}", connections=_CONNECTIONS)
