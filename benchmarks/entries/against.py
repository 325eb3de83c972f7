"""What the original protocol defines, on this server and on any other one that speaks it."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from uuid import uuid4

from benchmarks import cases
from benchmarks.bench import AnyServer, Bench, OtherServer
from benchmarks.cases import Case
from benchmarks.cluster import Cluster, register
from benchmarks.measure import Row, compare
from benchmarks.report import Report
from benchmarks.supply import Supply

_OURS, _OTHER = "rainbow", "other"
# How many jobs wait during reads, and before accepts are measured.
_WAITING, _TO_TAKE = 100, 500
# The most jobs of one answer: the other server may not bound it.
_LISTED = 5_000
# A server that shares no commits is slow with many submissions at once.
_FILLING, _FILLING_SECONDS = 4, 60


class _Queue(Supply):
    """Jobs that come one call at a time, and whose ids only the queue tells: submissions may answer with 0."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__()
        self._cluster = cluster

    def take(self, seconds: float, *, each: int = 1) -> Iterator[list[int]]:
        _submit(self._cluster, _TO_TAKE - len(self._cluster.waiting(_LISTED)))
        return ([job_id] for job_id in self._cluster.waiting(_LISTED))


def measure(bench: Bench, other: OtherServer) -> Report:
    """Leaves clusters and jobs behind on the other server; their names begin with `benchmark-`."""
    ours = bench.start_server()
    rows: list[Row] = []
    for call in _CALLS:
        rows += compare([_contender(call, other, _OTHER), _contender(call, ours, _OURS)], bench.plan)
    theirs = [row for row in rows if row.failed and row.name.endswith(_OTHER)]
    return Report(
        title=f"Beside the server at {other.address}",
        yardstick=_OTHER,
        rows=rows,
        notes=[f"{row.failed:,} of {row.name}, {row.in_flight} in flight, failed" for row in theirs],
        forgiven=[row.name for row in theirs],
    )


def _contender(call: Callable[[AnyServer], Case], server: AnyServer, whose: str) -> Case:
    case = call(server)
    return replace(case, name=f"{case.name}, {whose}")


def _request(server: AnyServer) -> Case:
    cluster = _new_cluster(server)
    _submit(cluster, _WAITING)
    return cases.request_jobs(cluster)


def _accept(server: AnyServer) -> Case:
    cluster = _new_cluster(server)
    return cases.accept_jobs(cluster, _Queue(cluster), each=1)


_CALLS: list[Callable[[AnyServer], Case]] = [
    lambda server: cases.serial(server, name="Serial"),
    cases.register_cluster,
    lambda server: cases.submit_job(_new_cluster(server)),
    _request,
    _accept,
]


def _new_cluster(server: AnyServer) -> Cluster:
    return register(server, f"benchmark-{uuid4().hex}")


def _submit(cluster: Cluster, count: int) -> None:
    if count > 0:
        case = cases.submit_job(cluster)
        some = replace(case, messages=lambda seconds: islice(case.messages(seconds), count))
        some.measure(in_flight=_FILLING, seconds=_FILLING_SECONDS)
