"""The cost of calls, console pages and memory with few jobs in the database and with many."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import uvloop

from benchmarks import cases, further_cases, requests
from benchmarks.bench import Bench, Server
from benchmarks.cases import JOBS, Case, path_of
from benchmarks.cluster import Cluster, register
from benchmarks.fill import fill
from benchmarks.load import connected, run_load
from benchmarks.measure import Row, by_latency, compare
from benchmarks.pages import Page, Visitor, add_account, sign_in
from benchmarks.processor_time import peak_memory
from benchmarks.report import Report
from benchmarks.supply import Supply

FEW = 10_000
# The most that is taken off the head of a queue.
_MOST_TAKEN = 500_000
_AGENTS, _CALLERS, _SECONDS = 1_000, 64, 3
_MIB = 1024 * 1024
MEMORY = "MiB of a worker"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Queue:
    """A cluster whose waiting jobs have these ids; those before them were taken."""

    name: str
    cluster: Cluster
    server: Server
    ids: range
    taken: range = range(0)


def measure(bench: Bench) -> Report:
    many = bench.plan.growth
    server = bench.start_server()
    queues = [
        _filled(bench.start_server(), "few", waiting=FEW),
        _filled(server, "many", waiting=many),
        _filled(server, "behind", finished=many // 5, waiting=FEW),
        _drained(server, min(many // 5, _MOST_TAKEN)),
    ]
    rows: list[Row] = []
    for call in _CALLS:
        rows += compare([call(queue) for queue in queues], replace(bench.plan, in_flight=(1,)), compared=by_latency)
    memory = uvloop.run(_memory(server))
    rows += _pages(bench, queues[:2])
    return Report(
        title=f"While {many:,} jobs are there",
        yardstick="few",
        rows=rows,
        notes=[
            f"few: {FEW:,} jobs wait, and there are no others; the rest share a database",
            f"many: {many:,} jobs wait",
            f"behind: {many // 5:,} jobs are over, then {FEW:,} wait",
            f"taken: {FEW:,} jobs wait, after {len(queues[-1].taken):,} before them were accepted",
            f"with {_AGENTS:,} agents that wait and {_CALLERS} callers the server held {memory:.0f} MiB of memory",
        ],
        figures={MEMORY: memory},
    )


def _filled(server: Server, name: str, *, finished: int = 0, waiting: int) -> _Queue:
    print(f"  filling: {name}", file=sys.stderr)
    cluster = register(server, name)
    return _Queue(
        name=name, cluster=cluster, server=server, ids=fill(cluster, server, finished=finished, waiting=waiting)
    )


def _drained(server: Server, taken: int) -> _Queue:
    queue = _filled(server, "taken", waiting=taken + FEW)
    queue.cluster.accept([*queue.ids[:taken]])
    return replace(queue, ids=queue.ids[taken:], taken=queue.ids[:taken])


def _accept(queue: _Queue) -> Case:
    supply = Supply(queue.cluster.add_jobs, first=queue.ids[: FEW - JOBS])
    return cases.accept_jobs(queue.cluster, supply, name=f"AcceptJobs({JOBS}), {queue.name}")


# Reads first: the others change the queue.
_CALLS: list[Callable[[_Queue], Case]] = [
    lambda queue: cases.request_jobs(queue.cluster, name=f"RequestJobs({JOBS}), {queue.name}"),
    lambda queue: further_cases.list_jobs(queue.cluster, name=f"ListJobs({JOBS}), {queue.name}"),
    lambda queue: further_cases.summarize_jobs(queue.cluster, name=f"SummarizeJobs, {queue.name}"),
    lambda queue: cases.submit_job(queue.cluster, name=f"SubmitJob, {queue.name}"),
    _accept,
]


def _pages(bench: Bench, queues: Sequence[_Queue]) -> list[Row]:
    rooms = [(queue, _room(bench, queue)) for queue in queues]
    once = replace(bench.plan, in_flight=(1,))
    return [
        row
        for name, path_of_page in _PAGES
        for row in compare(
            [Page(name=f"{name}, {queue.name}", path=path_of_page(queue), visitor=visitor) for queue, visitor in rooms],
            once,
            compared=by_latency,
        )
    ]


def _room(bench: Bench, queue: _Queue) -> Visitor:
    add_account(queue.server.database_url, manage=bench.manage)
    running = bench.start_web(beside=queue.server)
    return sign_in(running.web, pid=running.process.pid, database_pid=queue.server.database_pid)


# The clusters that are compared were the first on their servers.
_PAGES: list[tuple[str, Callable[[_Queue], str]]] = [
    ("dashboard", lambda queue: "/admin/"),
    ("clusters", lambda queue: "/admin/clusters/cluster/"),
    ("a cluster", lambda queue: "/admin/clusters/cluster/1/change/"),
    ("jobs", lambda queue: "/admin/jobs/job/"),
    ("jobs, a late page", lambda queue: f"/admin/jobs/job/?last={queue.ids[len(queue.ids) // 2]}"),
    ("lost jobs", lambda queue: "/admin/jobs/job/?state=lost"),
    ("jobs of a cluster", lambda queue: "/admin/jobs/job/?cluster=1"),
    ("jobs with a text", lambda queue: "/admin/jobs/job/?text=nosuchtext"),
    ("a job", lambda queue: f"/admin/jobs/job/{queue.ids[len(queue.ids) // 2]}/change/"),
]


async def _memory(server: Server) -> float:
    """The server's peak in MiB while agents wait and callers call."""
    waits, calls = register(server, "agents"), register(server, "callers")
    wait = requests.agents_request(waits, jobs=JOBS, room=JOBS, wait_seconds=300).SerializeToString()
    case = cases.submit_job(calls)
    async with (
        connected(
            server.address, path_of("RequestJobs"), in_flight=_AGENTS, most=_AGENTS, metadata=case.metadata
        ) as agents,
        connected(server.address, case.method, in_flight=_CALLERS, metadata=case.metadata) as callers,
    ):
        for agent in agents:
            agent.call(wait, lambda reply: None)
        await run_load(callers, case.messages(_SECONDS), case.is_right, in_flight=_CALLERS, seconds=_SECONDS)
        if any(agent.closed for agent in agents):
            raise RuntimeError(f"an agent lost its connection\n{server.last_words()}")
    return peak_memory(server.pid) / _MIB
