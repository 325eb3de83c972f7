"""What the original protocol defines, as its clients send it, on this server and on any other one that speaks it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from uuid import uuid4

from benchmarks import published_cases
from benchmarks.bench import AnyServer, Bench, OtherServer, Server
from benchmarks.cases import Case
from benchmarks.cluster import Cluster, register
from benchmarks.measure import Row, compare
from benchmarks.report import Report
from benchmarks.supply import Supply

OURS, _OTHER = "rainbow", "other"
# How many jobs wait during reads.
_WAITING = 100
# The most jobs of one answer: the other server may not bound it.
_LISTED = 20_000
# A server that shares no commits is slow with many submissions at once.
_FILLING, _FILLING_SECONDS, _WAITING_SECONDS = 4, 2, 60


# A contender on a server that holds nothing yet.
Call = Callable[[AnyServer], Case]


class _Queue(Supply):
    """Jobs that come one call at a time, and whose ids only the queue tells: submissions may answer with 0."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__()
        self._cluster = cluster

    def take(self, seconds: float, *, each: int) -> Iterator[list[int]]:
        """As many as were made in a while; it may end early."""
        if len(self._cluster.waiting(_LISTED)) < _LISTED // 2:
            published_cases.submit_job(self._cluster).measure(in_flight=_FILLING, seconds=_FILLING_SECONDS)
        self._left.clear()
        self._left.extend(self._cluster.waiting(_LISTED))
        return self._give_out(each)


def name_of(transport: str) -> str:
    return f"against, {transport}"


def _contender(call: Call, server: AnyServer, whose: str) -> Case:
    case = call(server)
    return replace(case, name=f"{case.name.partition(',')[0]}, {whose}")


def _request(server: AnyServer) -> Case:
    cluster = _new_cluster(server)
    case = published_cases.submit_job(cluster)
    some = replace(case, messages=lambda seconds: islice(case.messages(seconds), _WAITING))
    some.measure(in_flight=_FILLING, seconds=_WAITING_SECONDS)
    return published_cases.request_jobs(cluster)


def _accept(server: AnyServer) -> Case:
    cluster = _new_cluster(server)
    supply = Supply(cluster.add_jobs) if isinstance(server, Server) else _Queue(cluster)
    return published_cases.accept_jobs(cluster, supply)


def _new_cluster(server: AnyServer) -> Cluster:
    return register(server, f"benchmark-{uuid4().hex}")


CALLS: list[Call] = [
    published_cases.serial,
    published_cases.register_cluster,
    lambda server: published_cases.submit_job(_new_cluster(server)),
    _request,
    _accept,
]


def measure(bench: Bench, start_other: Callable[[], OtherServer], *, calls: Sequence[Call] = CALLS) -> Report:
    """Leaves clusters and jobs behind on the other server; their names begin with `benchmark-`."""
    rows: list[Row] = []
    for call in calls:
        with bench.servers_stopped():
            other, ours = start_other(), bench.start_server(log_level="INFO")
            rows += compare([_contender(call, other, _OTHER), _contender(call, ours, OURS)], bench.plan)
    theirs = [row for row in rows if row.failed and row.name.endswith(_OTHER)]
    return Report(
        title=f"Beside another server, over {bench.transport}",
        yardstick=_OTHER,
        rows=rows,
        notes=[f"{row.failed:,} of {row.name}, {row.in_flight} in flight, failed" for row in theirs],
        forgiven=[row.name for row in theirs],
    )
