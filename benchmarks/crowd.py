"""Everyone who uses a server at a time, in a process of their own: submitters, agents, watchers, and the console."""

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle
from multiprocessing import get_context
from multiprocessing.connection import Connection as PipeConnection
from random import expovariate

import uvloop
from google.protobuf.message import Message

from benchmarks import requests
from benchmarks.cases import JOBS, path_of
from benchmarks.cluster import Cluster
from benchmarks.http2 import Connection, connect
from benchmarks.load import MAX_CONNECTIONS
from benchmarks.pages import Visitor, sign_in
from rainbow.protos import rainbow_pb2 as pb

SUBMITTERS, AGENTS, WATCHERS = 64, 32, 8
# Of the agents, those whose cluster has the jobs that are watched.
_OF_THE_WATCHED = 4
_ROOM = 16
_AGENTS_PAUSE_SECONDS, _OPERATORS_PAUSE_SECONDS = 0.5, 1.0
_WATCHED = 10
# Less than the deadline of a call.
_WAIT_SECONDS = 30
_PAGES = ("/admin/", "/admin/jobs/job/", "/admin/clusters/cluster/")
# Until all have begun: a process, its connections, and an operator who signs in.
_STARTS_WITHIN_SECONDS = 60
_NICENESS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowd:
    """`busy` gets the jobs of the submitters, who pause after each answer; `watched` gets those of the watchers.

    At a lower priority than the server's, since in life they are on other machines.
    """

    web: str
    busy: Cluster
    watched: Cluster
    pause_seconds: float

    @contextmanager
    def at_work(self) -> Iterator[int]:
        """Yields their process."""
        context = get_context("spawn")
        told, teller = context.Pipe(duplex=False)
        process = context.Process(target=self._work, args=(teller,), daemon=True)
        process.start()
        teller.close()
        try:
            if not told.poll(_STARTS_WITHIN_SECONDS):
                raise RuntimeError("the callers did not begin")
            told.recv()
            yield process.pid or 0
            if not process.is_alive():
                raise RuntimeError("a caller failed; it wrote why")
        finally:
            process.kill()
            process.join()

    def _work(self, teller: PipeConnection) -> None:
        os.nice(_NICENESS)
        visitor = sign_in(self.web)
        teller.send("began")
        uvloop.run(self._call(visitor))

    async def _call(self, visitor: Visitor) -> None:
        clusters = [self.watched if place < _OF_THE_WATCHED else self.busy for place in range(AGENTS)]
        submitting = [await _Caller.connect(self.busy, "SubmitJob") for _ in range(MAX_CONNECTIONS)]
        await asyncio.gather(
            *(self._submit(submitting[place % MAX_CONNECTIONS]) for place in range(SUBMITTERS)),
            *(_work_as_an_agent(cluster, f"agent-{place}") for place, cluster in enumerate(clusters)),
            *(_watch(self.watched) for _ in range(WATCHERS)),
            _operate(visitor),
        )

    async def _submit(self, caller: "_Caller") -> None:
        messages = requests.keyed(requests.submission(self.busy))
        while True:
            await caller.call(next(messages))
            await asyncio.sleep(_pause(self.pause_seconds))


def _pause(seconds: float) -> float:
    """About so long. Callers who pause for the same time make their next calls at the same time, as those in life do
    not.
    """
    return expovariate(1 / seconds) if seconds else 0.0


async def _operate(visitor: Visitor) -> None:
    for page in cycle(_PAGES):
        await asyncio.to_thread(visitor.open, page)
        await asyncio.sleep(_OPERATORS_PAUSE_SECONDS)


class _Caller:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @classmethod
    async def connect(cls, cluster: Cluster, call: str, credential: str = "") -> "_Caller":
        return cls(await connect(cluster.address, path_of(call), requests.metadata(credential)))

    async def call(self, message: bytes | Message) -> bytes:
        """The answer; of a stream, all of its messages."""
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        def answered(reply: bytes | None) -> None:
            if answer.done():
                return
            if reply is None:
                answer.set_exception(RuntimeError("a call failed"))
            else:
                answer.set_result(reply)

        self._connection.call(message if isinstance(message, bytes) else message.SerializeToString(), answered)
        return await answer


async def _work_as_an_agent(cluster: Cluster, name: str) -> None:
    """Asks with bounds, accepts what it is offered, and reports that it ended."""
    asking, accepting = await _Caller.connect(cluster, "RequestJobs"), await _Caller.connect(cluster, "AcceptJobs")
    reporting = await _Caller.connect(cluster, "ReportJobs", cluster.secret)
    while True:
        offer = await asking.call(requests.agents_request(cluster, jobs=JOBS, room=_ROOM, wait_seconds=_WAIT_SECONDS))
        job_ids = list(pb.RequestJobsResponse.FromString(offer).jobids)
        if job_ids:
            taken = await accepting.call(requests.agents_acceptance(cluster, job_ids, agent=name))
            mine = [job.jobid for job in pb.AcceptJobsResponse.FromString(taken).accepted]
            if mine:
                ends = [requests.completed(job_id) for job_id in mine]
                await reporting.call(requests.report(cluster, ends, agent=name))
        await asyncio.sleep(_pause(_AGENTS_PAUSE_SECONDS))


async def _watch(cluster: Cluster) -> None:
    """Submits some jobs, and watches them until they are over."""
    submitting = await _Caller.connect(cluster, "SubmitJobs", cluster.token)
    watching = await _Caller.connect(cluster, "WatchJobs", cluster.token)
    jobs = [requests.job(requests.COMMAND)] * _WATCHED
    messages = requests.keyed(pb.SubmitJobsRequest(cluster=cluster.name, jobs=jobs))
    while True:
        answer = pb.SubmitJobsResponse.FromString(await submitting.call(next(messages)))
        job_ids = [result.jobid for result in answer.results]
        await watching.call(pb.WatchJobsRequest(cluster=cluster.name, jobids=job_ids))
