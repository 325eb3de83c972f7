"""How many of a thousand agents that wait for jobs of one queue wake for one job, and how soon it is taken."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import uvloop

from benchmarks import requests
from benchmarks.bench import Bench, Server
from benchmarks.cases import path_of
from benchmarks.cluster import Cluster, register
from benchmarks.http2 import Connection, connect
from benchmarks.load import Load
from benchmarks.measure import Row, Sample, Times, by_latency, summarize
from benchmarks.pools import make_pools
from benchmarks.report import Report
from rainbow.protos import rainbow_pb2 as pb

CLUSTERS, AGENTS, JOBS = 100, 1_000, 4
# Of a job that none takes, four agents wake at once, and every 50 ms as many again, up to 32.
WATCHED_SECONDS = 0.5
_AT_MOST, _NEXT_AFTER_SECONDS = 32, 0.05
WOKEN = "agents woken in 50 ms"
# All agents have been woken for a job then.
_SETTLE_SECONDS = AGENTS / _AT_MOST * _NEXT_AFTER_SECONDS + 1
_WAIT_SECONDS = 250
_PATIENCE_SECONDS = 200


@dataclass(slots=True, kw_only=True)
class _Job:
    """The agents that were offered it until it was taken; seconds from its submission to the first offer, to the last
    that was counted, and to its accept."""

    agents: list["_Agent"] = field(default_factory=list)
    offered: float = 0.0
    watched: float = 0.0
    taken: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """Of jobs that were taken after a while, and of jobs that were taken at once, with what the server used for each of
    these, in processor seconds.
    """

    watched: list[_Job]
    taken: list[_Job]
    used: float

    @property
    def woken(self) -> float:
        """In 50 ms."""
        return max(len(job.agents) / (1 + job.watched // _NEXT_AFTER_SECONDS) for job in self.watched)

    def note(self, queue: str) -> str:
        offered = [len(job.agents) for job in self.watched]
        return (
            f"a job of the {queue} that none took was offered to {min(offered)} to {max(offered)} agents within "
            f"{WATCHED_SECONDS * 1_000:.0f} ms, {self.woken:.1f} in 50 ms at most; one that was taken at once cost the "
            f"server {self.used * 1_000:.0f} ms of processor time"
        )


def measure(bench: Bench) -> Report:
    server = bench.start_server()
    clusters = [register(server, f"c{number}") for number in range(CLUSTERS)]
    (pool,) = make_pools(bench, server, {"pool": [cluster.name for cluster in clusters]})
    crowded = register(server, "crowded")
    found = {
        "pool": uvloop.run(_measure(server, clusters, pool)),
        "cluster": uvloop.run(_measure(server, [crowded], crowded)),
    }
    woken = max(one.woken for one in found.values())
    return Report(
        title=f"A job for which {AGENTS:,} agents wait: of a pool of {CLUSTERS} clusters, and of one cluster",
        yardstick="its offer",
        rows=[row for queue, one in found.items() for row in _rows(queue, one)],
        notes=[one.note(queue) for queue, one in found.items()],
        failures=[f"{woken:.1f} agents woke in 50 ms"] if woken > _AT_MOST else [],
        figures={WOKEN: woken},
    )


def _rows(queue: str, found: _Found) -> list[Row]:
    offered, accepted = _sample([job.offered for job in found.taken]), _sample([job.taken for job in found.taken])
    return [
        Row(name=f"{queue}, {name}", in_flight=1, samples=[sample], yardstick=[offered], compared=by_latency)
        for name, sample in (("its offer", offered), ("its accept", accepted))
    ]


def _sample(latencies: list[float]) -> Sample:
    """The machine's time is not told: agents start and settle meanwhile."""
    load = Load(seconds=sum(latencies), latencies=latencies, failed=0)
    return summarize(load, Times(server=0, database=0, load=0, busy=0, stolen=0))


async def _measure(server: Server, clusters: Sequence[Cluster], queue: Cluster) -> _Found:
    room = _Room()
    submitter = await connect(server.address, path_of("SubmitJob"), requests.metadata())
    async with asyncio.timeout(_PATIENCE_SECONDS):
        agents = [await _Agent.start(server, clusters[place % len(clusters)], room) for place in range(AGENTS)]
        await asyncio.sleep(_SETTLE_SECONDS)
        watched = [await room.hand_out(submitter, queue, after=WATCHED_SECONDS) for _ in range(JOBS)]
        before = Times.read(server)
        taken = [await room.hand_out(submitter, queue, after=0) for _ in range(JOBS)]
        after = Times.read(server)
    for connection in (submitter, *(one for agent in agents for one in agent.connections)):
        connection.close()
    used = after.server + after.database - before.server - before.database
    return _Found(watched=watched, taken=taken, used=used / JOBS)


class _Room:
    """Where agents say that they were offered a job."""

    def __init__(self) -> None:
        self.offers: asyncio.Queue[tuple[_Agent, int]] = asyncio.Queue()

    async def hand_out(self, submitter: Connection, queue: Cluster, *, after: float) -> _Job:
        job, began = _Job(), time.perf_counter()
        message = next(requests.keyed(requests.submission(queue)))
        job_id = pb.SubmitJobResponse.FromString(await _answer(submitter, message)).jobid
        first = await self._offered(job_id)
        job.offered = time.perf_counter() - began
        await asyncio.sleep(after)
        job.watched = time.perf_counter() - began
        job.agents = [first, *(self.offers.get_nowait()[0] for _ in range(self.offers.qsize()))]
        await first.accept(job_id)
        job.taken = time.perf_counter() - began
        # What was on its way to others.
        await asyncio.sleep(2 * _NEXT_AFTER_SECONDS)
        late = [self.offers.get_nowait()[0] for _ in range(self.offers.qsize())]
        for agent in (*job.agents, *late):
            agent.ask()
        await asyncio.sleep(_SETTLE_SECONDS)
        return job

    async def _offered(self, job_id: int) -> "_Agent":
        """The first agent that is offered this job. Others may come late with one that was taken."""
        while True:
            agent, offered = await self.offers.get()
            if offered == job_id:
                return agent
            agent.ask()


class _Agent:
    def __init__(self, connections: tuple[Connection, Connection], cluster: Cluster, room: _Room) -> None:
        self.connections = connections
        self._cluster = cluster
        self._room = room
        request = requests.agents_request(cluster, jobs=1, room=1, wait_seconds=_WAIT_SECONDS)
        self._request = request.SerializeToString()

    @classmethod
    async def start(cls, server: Server, cluster: Cluster, room: _Room) -> "_Agent":
        asking, accepting = [
            await connect(server.address, path_of(call), requests.metadata()) for call in ("RequestJobs", "AcceptJobs")
        ]
        agent = cls((asking, accepting), cluster, room)
        agent.ask()
        return agent

    def ask(self) -> None:
        self.connections[0].call(self._request, self._answered)

    def _answered(self, reply: bytes | None) -> None:
        if self.connections[0].closed:
            return
        # An agent asks again, too, where a busy server answered with an error.
        if job_ids := pb.RequestJobsResponse.FromString(reply or b"").jobids:
            self._room.offers.put_nowait((self, job_ids[0]))
        else:
            self.ask()

    async def accept(self, job_id: int) -> None:
        request = requests.agents_acceptance(self._cluster, [job_id])
        reply = await _answer(self.connections[1], request.SerializeToString())
        if not pb.AcceptJobsResponse.FromString(reply).accepted:
            raise RuntimeError("a job that was offered was refused")


async def _answer(connection: Connection, message: bytes) -> bytes:
    answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
    connection.call(message, partial(_note, answer))
    return await answer


def _note(answer: "asyncio.Future[bytes]", reply: bytes | None) -> None:
    if reply is None:
        answer.set_exception(RuntimeError("a call failed"))
    else:
        answer.set_result(reply)
