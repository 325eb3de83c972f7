"""The cost of a thousand waiting agents, and how soon a new job reaches the one it is for."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from random import Random

import grpc
import uvloop

from benchmarks import requests
from benchmarks.bench import Bench, Server
from benchmarks.cases import path_of
from benchmarks.cluster import Cluster
from benchmarks.http2 import Connection, connect
from benchmarks.load import Load
from benchmarks.measure import Row, Sample, Times, summarize
from benchmarks.report import Report
from rainbow.protos import rainbow_pb2 as pb
from rainbow.protos.rainbow_pb2_grpc import RainbowSchedulerStub

AGENTS = 1_000
# Each agent gets one job at most.
_JOBS_A_ROUND = 50
# Longer than the interval at which a waiting call polls.
_IDLE_SECONDS = 25
_SETTLE_SECONDS = 3
_WAIT_SECONDS = 55
# For jobs, nodes and tasks.
_ROOM = 8
_PATIENCE_SECONDS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class _Idle:
    """Processor seconds a second, and memory in bytes, for all agents together."""

    server: float
    database: float
    memory: int
    before: int


def measure(bench: Bench) -> Report:
    here = bench.start_server()
    there = bench.start_server(beside=here)
    before = _memory_of(here.pid)
    clusters = _register(here, AGENTS)
    idle, rows = uvloop.run(_measure(here, there, clusters, bench.plan.rounds, before))
    return Report(
        title=f"A new job, while {AGENTS:,} agents wait for theirs",
        yardstick="its answer",
        rows=rows,
        notes=[
            f"to wait, {AGENTS:,} agents used {idle.server:.1%} of a processor in the server"
            + (f" and {idle.database:.1%} in the database" if here.database_pid else ""),
            f"with them the server used {idle.memory / 2**20:.0f} MiB of memory, {idle.before / 2**20:.0f} without",
        ],
    )


async def _measure(
    here: Server, there: Server, clusters: Sequence[pb.RegisterResponse], rounds: int, before: int
) -> tuple[_Idle, list[Row]]:
    agents = [await _Agent.start(here, f"c{number}", new) for number, new in enumerate(clusters)]
    submitters = {
        server.address: await connect(server.address, path_of("SubmitJob"), requests.metadata())
        for server in (here, there)
    }
    try:
        await asyncio.sleep(_SETTLE_SECONDS)
        idle = await _wait_idly(here, before)
        order = iter(Random(1).sample(agents, len(agents)))
        samples: dict[str, list[Sample]] = {"its answer": [], "on this server": [], "on another server": []}
        for _ in range(rounds):
            for name, server in (("on this server", here), ("on another server", there)):
                some = list(islice(order, _JOBS_A_ROUND))
                answers, wakeups = await _hand_out(submitters[server.address], server, some)
                samples[name].append(wakeups)
                if server is here:
                    samples["its answer"].append(answers)
    finally:
        for connection in (*submitters.values(), *(agent.connection for agent in agents)):
            connection.close()
    yardstick = samples["its answer"]
    return idle, [Row(name=name, in_flight=1, samples=found, yardstick=yardstick) for name, found in samples.items()]


async def _wait_idly(server: Server, before: int) -> _Idle:
    begin = Times.read(server)
    await asyncio.sleep(_IDLE_SECONDS)
    spent = Times.read(server).since(begin)
    return _Idle(
        server=spent.server / _IDLE_SECONDS,
        database=spent.database / _IDLE_SECONDS,
        memory=_memory_of(server.pid),
        before=before,
    )


async def _hand_out(submitter: Connection, server: Server, agents: Sequence["_Agent"]) -> tuple[Sample, Sample]:
    answered: list[float] = []
    arrived: list[float] = []
    begin = Times.read(server)
    for agent in agents:
        began = time.perf_counter()
        answer: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        submitter.call(agent.submission, partial(_note, answer))
        async with asyncio.timeout(_PATIENCE_SECONDS):
            answered.append(await answer - began)
            arrived.append(await agent.has_job - began)
    spent = Times.read(server).since(begin)
    return _sample(answered, spent), _sample(arrived, spent)


def _note(answer: "asyncio.Future[float]", reply: bytes | None) -> None:
    if reply is None:
        answer.set_exception(RuntimeError("a submission failed"))
    else:
        answer.set_result(time.perf_counter())


def _sample(seconds: list[float], spent: Times) -> Sample:
    return summarize(Load(seconds=sum(seconds), latencies=seconds, failed=0), spent)


class _Agent:
    def __init__(self, connection: Connection, server: Server, name: str, new: pb.RegisterResponse) -> None:
        self.connection = connection
        cluster = Cluster(name=name, token=new.token, secret=new.secret, server=server)
        self.submission = next(requests.keyed(requests.submission(cluster)))
        self.has_job: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        request = requests.agents_request(cluster, jobs=_ROOM, room=_ROOM, wait_seconds=_WAIT_SECONDS)
        self._request = request.SerializeToString()

    @classmethod
    async def start(cls, server: Server, name: str, new: pb.RegisterResponse) -> "_Agent":
        link = await connect(server.address, path_of("RequestJobs"), requests.metadata())
        agent = cls(link, server, name, new)
        agent._ask()
        return agent

    def _ask(self) -> None:
        self.connection.call(self._request, self._answered)

    def _answered(self, reply: bytes | None) -> None:
        if self.has_job.done() or self.connection.closed:
            return
        if reply is None:
            self.has_job.set_exception(RuntimeError("a call that waited failed"))
        elif pb.RequestJobsResponse.FromString(reply).jobids:
            self.has_job.set_result(time.perf_counter())
        else:
            self._ask()


def _register(server: Server, number: int) -> list[pb.RegisterResponse]:
    with grpc.insecure_channel(server.address) as channel:
        stub = RainbowSchedulerStub(channel)
        names = [f"c{place}" for place in range(number)]
        requests = [pb.RegisterRequest(name=name, secret=server.registration_secret) for name in names]
        return [stub.Register(request, timeout=_PATIENCE_SECONDS) for request in requests]


def _memory_of(pid: int) -> int:
    """Resident memory in bytes (VmRSS of proc_pid_status(5))."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))
