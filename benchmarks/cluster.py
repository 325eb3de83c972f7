"""A cluster on a server under test, and jobs for it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import grpc

from benchmarks.bench import AnyServer
from rainbow.protos import rainbow_pb2 as pb
from rainbow.protos.rainbow_pb2_grpc import RainbowSchedulerStub

# What one SubmitJobs takes, and the least that one AcceptJobs does.
_BATCH = 10_000
_TIMEOUT_SECONDS = 60
JOB = pb.JobSpec(name="hostname", nodes=1, command="hostname")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    name: str
    token: str
    secret: str
    server: AnyServer

    @property
    def address(self) -> str:
        return self.server.address

    def add_jobs(self, count: int, job: pb.JobSpec = JOB) -> list[int]:
        """Queue jobs, about 50,000 a second; returns their ids."""
        with self._stub() as stub:
            return list(self._submit(stub, [job] * count))

    def add_group(self, members: int, job: pb.JobSpec = JOB) -> tuple[int, list[int]]:
        """Queue a group of jobs; returns its id, and those of its members."""
        jobs = [pb.JobSpec(array_index=index) for index in range(members)]
        for one in jobs:
            one.MergeFrom(job)
        group, job_ids = 0, list[int]()
        with self._stub() as stub:
            for start in range(0, members, _BATCH):
                wanted = pb.Group(name="" if group else "sweep", id=group, more=start + _BATCH < members)
                request = pb.SubmitJobsRequest(cluster=self.name, jobs=jobs[start : start + _BATCH], group=wanted)
                answer = stub.SubmitJobs(request, metadata=_bearer(self.token), timeout=_TIMEOUT_SECONDS)
                group = answer.group
                job_ids += [result.jobid for result in answer.results]
        return group, job_ids

    def cancel_group(self, group: int) -> None:
        """Returns when that is acknowledged."""
        with self._stub() as stub:
            request = pb.CancelGroupRequest(cluster=self.name, id=group)
            stub.CancelGroup(request, metadata=_bearer(self.token), timeout=_TIMEOUT_SECONDS)

    def group(self, group: int) -> pb.JobGroup:
        with self._stub() as stub:
            request = pb.GetGroupRequest(cluster=self.name, id=group)
            return stub.GetGroup(request, metadata=_bearer(self.token), timeout=_TIMEOUT_SECONDS).group

    def add_each(self, jobs: Sequence[pb.JobSpec]) -> list[int]:
        with self._stub() as stub:
            return list(self._submit(stub, jobs))

    def accept(self, job_ids: list[int], *, agent: str = "") -> None:
        with self._stub() as stub:
            for start in range(0, len(job_ids), _BATCH):
                some = job_ids[start : start + _BATCH]
                request = pb.AcceptJobsRequest(cluster=self.name, secret=self.secret, jobids=some, agent=agent)
                answer = stub.AcceptJobs(request, timeout=_TIMEOUT_SECONDS)
                assert answer.status == answer.RESULT_TYPE_SUCCESS

    def cancel(self, job_ids: list[int]) -> None:
        with self._stub() as stub:
            request = pb.CancelJobsRequest(jobids=job_ids)
            stub.CancelJobs(request, metadata=_bearer(self.secret), timeout=_TIMEOUT_SECONDS)

    def waiting(self, most: int) -> list[int]:
        with self._stub() as stub:
            request = pb.RequestJobsRequest(cluster=self.name, secret=self.secret, maxJobs=most)
            return list(stub.RequestJobs(request, timeout=_TIMEOUT_SECONDS).jobs)

    def count_completed(self) -> int:
        return self._count(pb.JOB_STATE_COMPLETED)

    def count_running(self) -> int:
        return self._count(pb.JOB_STATE_RUNNING)

    def count_waiting(self) -> int:
        return self._count(pb.JOB_STATE_QUEUED)

    def _count(self, state: pb.JobState.ValueType) -> int:
        with self._stub() as stub:
            request = pb.SummarizeJobsRequest(cluster=self.name)
            summary = stub.SummarizeJobs(request, metadata=_bearer(self.secret), timeout=_TIMEOUT_SECONDS)
        return sum(count.count for count in summary.counts if count.state == state)

    def _submit(self, stub: RainbowSchedulerStub, jobs: Sequence[pb.JobSpec]) -> Iterator[int]:
        for start in range(0, len(jobs), _BATCH):
            request = pb.SubmitJobsRequest(cluster=self.name, jobs=jobs[start : start + _BATCH])
            answer = stub.SubmitJobs(request, metadata=_bearer(self.token), timeout=_TIMEOUT_SECONDS)
            yield from (result.jobid for result in answer.results)

    @contextmanager
    def _stub(self) -> Iterator[RainbowSchedulerStub]:
        with grpc.insecure_channel(self.address) as channel:
            yield RainbowSchedulerStub(channel)


def register(server: AnyServer, name: str) -> Cluster:
    request = pb.RegisterRequest(name=name, secret=server.registration_secret)
    with grpc.insecure_channel(server.address) as channel:
        answer = RainbowSchedulerStub(channel).Register(request, timeout=_TIMEOUT_SECONDS)
    return Cluster(name=name, token=answer.token, secret=answer.secret, server=server)


def _bearer(credential: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {credential}"),)
