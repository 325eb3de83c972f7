"""The calls of the original protocol, as this project's command line and agent make them."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import repeat
from uuid import uuid4

import uvloop

from benchmarks import requests
from benchmarks.bench import AnyServer, Server
from benchmarks.cluster import Cluster
from benchmarks.load import MAX_CONNECTIONS, connected, run_load
from benchmarks.measure import Sample, Times, summarize
from benchmarks.supply import Supply
from rainbow.protos import rainbow_pb2 as pb

_SERVICE = pb.DESCRIPTOR.services_by_name["RainbowScheduler"].full_name
# How many jobs a call is about, where it is about several.
JOBS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A call to measure. `messages` gives what to send in so many seconds, before their clock starts."""

    name: str
    server: AnyServer
    method: str
    messages: Callable[[float], Iterator[bytes]]
    is_right: Callable[[bytes], bool]
    metadata: Mapping[str, str] = field(default_factory=requests.metadata)
    jobs: int = 0
    connections: int = MAX_CONNECTIONS

    def measure(self, *, in_flight: int, seconds: float) -> Sample:
        return uvloop.run(self._measure(self.messages(seconds), in_flight, seconds))

    async def _measure(self, messages: Iterator[bytes], in_flight: int, seconds: float) -> Sample:
        ours = self.server if isinstance(self.server, Server) else None
        async with connected(
            self.server.address, self.method, in_flight=in_flight, most=self.connections, metadata=self.metadata
        ) as connections:
            before = Times.read(self.server)
            load = await run_load(connections, messages, self.is_right, in_flight=in_flight, seconds=seconds)
            spent = Times.read(self.server).since(before)
        if ours and not load.latencies:
            raise RuntimeError(f"no {self.name} succeeded; {ours.last_words()}")
        return summarize(load, spent)


def path_of(call: str) -> str:
    return f"/{_SERVICE}/{call}"


def serial(server: AnyServer, *, name: str = "Serial (no-op)") -> Case:
    message = pb.Request(content=pb.Content(id="benchmark")).SerializeToString()
    return Case(
        name=name,
        server=server,
        method=path_of("Serial"),
        messages=lambda seconds: repeat(message),
        is_right=lambda reply: pb.Response.FromString(reply).request_id == "benchmark",
    )


def stream(server: AnyServer) -> Case:
    """A stream of one message: what a stream costs more than a call."""
    message = pb.Request(content=pb.Content(id="benchmark")).SerializeToString()
    return Case(
        name="Stream(1)",
        server=server,
        method=path_of("Stream"),
        messages=lambda seconds: repeat(message),
        is_right=lambda reply: pb.Response.FromString(reply).messages_processed == 1,
    )


def register_cluster(server: AnyServer, *, name: str = "Register") -> Case:
    def messages(seconds: float) -> Iterator[bytes]:
        while True:
            yield requests.registration(f"benchmark-{uuid4().hex}", server.registration_secret).SerializeToString()

    def is_right(reply: bytes) -> bool:
        answer = pb.RegisterResponse.FromString(reply)
        return answer.status == answer.REGISTER_SUCCESS

    return Case(name=name, server=server, method=path_of("Register"), messages=messages, is_right=is_right)


def submit_job(cluster: Cluster, *, submitted: list[int] | None = None, name: str = "SubmitJob") -> Case:
    ids = [] if submitted is None else submitted

    def is_right(reply: bytes) -> bool:
        answer = pb.SubmitJobResponse.FromString(reply)
        ids.append(answer.jobid)
        return answer.status == answer.SUBMIT_SUCCESS

    return Case(
        name=name,
        server=cluster.server,
        method=path_of("SubmitJob"),
        messages=lambda seconds: requests.keyed(requests.submission(cluster)),
        is_right=is_right,
        jobs=1,
    )


def request_jobs(cluster: Cluster, *, name: str = f"RequestJobs({JOBS})") -> Case:
    message = requests.agents_request(cluster, jobs=JOBS, room=JOBS).SerializeToString()

    def is_right(reply: bytes) -> bool:
        answer = pb.RequestJobsResponse.FromString(reply)
        return answer.status == answer.REQUEST_JOBS_SUCCESS and len(answer.jobs) == JOBS

    return Case(
        name=name,
        server=cluster.server,
        method=path_of("RequestJobs"),
        messages=lambda seconds: repeat(message),
        is_right=is_right,
        jobs=JOBS,
    )


def accept_jobs(cluster: Cluster, supply: Supply, *, each: int = JOBS, name: str = "") -> Case:
    def message(job_ids: list[int]) -> bytes:
        return requests.agents_acceptance(cluster, job_ids).SerializeToString()

    def is_right(reply: bytes) -> bool:
        answer = pb.AcceptJobsResponse.FromString(reply)
        return answer.status == answer.RESULT_TYPE_SUCCESS

    return Case(
        name=name or f"AcceptJobs({each})",
        server=cluster.server,
        method=path_of("AcceptJobs"),
        messages=lambda seconds: map(message, supply.take(seconds, each=each)),
        is_right=is_right,
        jobs=each,
    )
