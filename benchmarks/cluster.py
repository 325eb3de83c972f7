"""A cluster on a server under test, and jobs for it."""

from collections.abc import Iterator
from dataclasses import dataclass

import grpc

from benchmarks.bench import Server
from rainbow.protos import rainbow_pb2 as pb
from rainbow.protos.rainbow_pb2_grpc import RainbowSchedulerStub

# What one SubmitJobs takes.
_BATCH = 10_000
_TIMEOUT_SECONDS = 60
_JOB = pb.JobSpec(name="hostname", nodes=1, command="hostname")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """Speaks to its server as clients do, between the measurements."""

    name: str
    token: str
    secret: str
    address: str

    def add_jobs(self, count: int) -> list[int]:
        """Queues jobs, 50,000 a second or so, and gives their ids."""
        return list(self._submit(count))

    def count_waiting(self) -> int:
        with grpc.insecure_channel(self.address) as channel:
            summary = RainbowSchedulerStub(channel).SummarizeJobs(
                pb.SummarizeJobsRequest(cluster=self.name),
                metadata=_bearer(self.secret),
                timeout=_TIMEOUT_SECONDS,
            )
        return sum(count.count for count in summary.counts if count.state == pb.JOB_STATE_QUEUED)

    def _submit(self, count: int) -> Iterator[int]:
        with grpc.insecure_channel(self.address) as channel:
            stub = RainbowSchedulerStub(channel)
            for start in range(0, count, _BATCH):
                jobs = [_JOB] * min(_BATCH, count - start)
                request = pb.SubmitJobsRequest(cluster=self.name, jobs=jobs)
                answer = stub.SubmitJobs(request, metadata=_bearer(self.token), timeout=_TIMEOUT_SECONDS)
                yield from (result.jobid for result in answer.results)


def register(server: Server, name: str) -> Cluster:
    request = pb.RegisterRequest(name=name, secret=server.registration_secret)
    with grpc.insecure_channel(server.address) as channel:
        answer = RainbowSchedulerStub(channel).Register(request, timeout=_TIMEOUT_SECONDS)
    return Cluster(name=name, token=answer.token, secret=answer.secret, address=server.address)


def _bearer(credential: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {credential}"),)
