"""Clusters that call a running server over gRPC."""

import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import pytest

from rainbow.connection import KNOWS_EXTENSIONS
from rainbow.protos import rainbow_pb2 as pb
from rainbow.protos import rainbow_pb2_grpc as pb_grpc
from tests.support.patience import PATIENCE_SECONDS, wait_until
from tests.support.servers import RainbowServer

SERVICE = f"/{pb.DESCRIPTOR.services_by_name['RainbowScheduler'].full_name}"

Metadata = tuple[tuple[str, str], ...]

METHODS = {method.name: method for method in pb.DESCRIPTOR.services_by_name["RainbowScheduler"].methods}
UNARY = sorted(name for name, method in METHODS.items() if not (method.client_streaming or method.server_streaming))


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    code: grpc.StatusCode
    text: str
    field: str


DENIED = Refusal(code=grpc.StatusCode.UNAUTHENTICATED, text="request denied", field="")


@dataclass(frozen=True, slots=True, kw_only=True)
class Remote:
    name: str
    token: str
    secret: str
    stub: pb_grpc.RainbowSchedulerStub

    @property
    def by_token(self) -> Metadata:
        return bearer(self.token)

    @property
    def by_secret(self) -> Metadata:
        return bearer(self.secret)

    def submission(self, command: str = "hostname", **fields: Any) -> pb.SubmitJobRequest:
        return pb.SubmitJobRequest(
            **{"cluster": self.name, "token": self.token, "nodes": 1, "command": command, **fields}
        )

    def submit(self, command: str = "hostname", **fields: Any) -> pb.SubmitJobResponse:
        return self.stub.SubmitJob(self.submission(command, **fields), timeout=PATIENCE_SECONDS)

    def submit_many(self, *specs: pb.JobSpec) -> pb.SubmitJobsResponse:
        request = pb.SubmitJobsRequest(cluster=self.name, jobs=specs)
        return self.stub.SubmitJobs(request, metadata=self.by_token, timeout=PATIENCE_SECONDS)

    def request(self, **fields: Any) -> pb.RequestJobsResponse:
        request = pb.RequestJobsRequest(cluster=self.name, secret=self.secret, **fields)
        return self.stub.RequestJobs(request, timeout=PATIENCE_SECONDS)

    def acceptance(self, *ids: int, **fields: Any) -> pb.AcceptJobsRequest:
        return pb.AcceptJobsRequest(cluster=self.name, secret=self.secret, jobids=ids, **fields)

    def accept(self, *ids: int, **fields: Any) -> pb.AcceptJobsResponse:
        return self.stub.AcceptJobs(self.acceptance(*ids, **fields), timeout=PATIENCE_SECONDS)

    def job(self, job_id: int, **fields: Any) -> pb.Job:
        request = pb.GetJobsRequest(jobids=[job_id], **fields)
        (job,) = self.stub.GetJobs(request, metadata=self.by_secret, timeout=PATIENCE_SECONDS).jobs
        return job

    def summary(self) -> dict[int, int]:
        answer = self.stub.SummarizeJobs(pb.SummarizeJobsRequest(), metadata=self.by_secret, timeout=PATIENCE_SECONDS)
        return {count.state: count.count for count in answer.counts}


class _Extensions(
    grpc.UnaryUnaryClientInterceptor,
    grpc.UnaryStreamClientInterceptor,
    grpc.StreamStreamClientInterceptor,
):
    """Announces in the metadata of each call that the client knows the extension fields."""

    def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        return continuation(self._named_in(client_call_details), request)

    def intercept_unary_stream(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        return continuation(self._named_in(client_call_details), request)

    def intercept_stream_stream(self, continuation: Any, client_call_details: Any, request_iterator: Any) -> Any:
        return continuation(self._named_in(client_call_details), request_iterator)

    def _named_in(self, details: Any) -> Any:
        return details._replace(metadata=(*KNOWS_EXTENSIONS, *(details.metadata or ())))


def bearer(value: str) -> Metadata:
    return (("authorization", f"Bearer {value}"),)


def registration(server: RainbowServer, **fields: Any) -> pb.RegisterRequest:
    return pb.RegisterRequest(**{"name": new_name(), "secret": server.registration_secret, **fields})


def new_name() -> str:
    """A unique name: the tests share a server."""
    return f"cluster-{uuid.uuid4().hex[:12]}"


@contextmanager
def joined(server: RainbowServer, *, address: str = "") -> Iterator[Remote]:
    """Register a new cluster, with its own connection."""
    with connected(address or server.address) as stub:
        request = registration(server)
        new = stub.Register(request, timeout=PATIENCE_SECONDS)
        yield Remote(name=request.name, token=new.token, secret=new.secret, stub=stub)


@contextmanager
def connected(address: str) -> Iterator[pb_grpc.RainbowSchedulerStub]:
    """A connection that shares no socket with another, of a client that knows the extension fields."""
    with grpc.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
        yield pb_grpc.RainbowSchedulerStub(grpc.intercept_channel(channel, _Extensions()))


def eventually(condition: Callable[[], object]) -> None:
    wait_until(condition, pause_seconds=0.01)


def refusal_of(call: Any, request: Any, **options: Any) -> Refusal:
    """How the server refuses a request; fails if it answers."""
    with pytest.raises(grpc.RpcError) as caught:
        call(request, **{"timeout": PATIENCE_SECONDS, **options})
    return refusal_in(caught.value)


def refusal_in(error: Any) -> Refusal:
    trailing: Mapping[str, str] = dict(error.trailing_metadata() or ())
    return Refusal(code=error.code(), text=error.details(), field=trailing.get("rainbow-field", ""))


FULL: dict[str, Any] = {
    "name": "full",
    "nodes": 2,
    "tasks": 3,
    "command": "run <it>",
    "time_limit_seconds": 60,
    "environment": {"A": "1", "B": "two\nlines"},
    "working_directory": "/scratch",
    "priority": 7,
    "labels": {"team": "x", "app/kind": ""},
    "cores_per_task": 2,
    "gpus_per_task": 1,
    "gpu_type": "a100",
    "memory_mib_per_node": 1024,
    "exclusive": True,
    "account": "physics",
    "partition": "gpu,debug",
    "qos": "long",
    "reservation": "maintenance",
    "constraint": "[rack1*2&rack2*4]|!ib",
    "options_by_cluster": {"keebler:partition": "", "keebler:qos": "x"},
    "image": "quay.io:443/org/app:1.0@sha256:" + "0" * 64,
    "mounts": ["/data:/data", "/home/a b:/mnt/..x:ro"],
    "secrets": {"HF_TOKEN": "site:hf"},
    "needs": ["site=geneva", "gpus>=4", "!slow"],
    "hold_if_unservable": True,
    "start_within_seconds": 60,
    "idempotency_key": "once",
    "on_lost": pb.ON_LOST_REQUEUE,
}


def spec(**fields: Any) -> pb.JobSpec:
    return pb.JobSpec(**{"nodes": 1, "command": "hostname", **fields})


def ids_of(answer: pb.SubmitJobsResponse) -> list[int]:
    return [result.jobid for result in answer.results]


def cancel(cluster: Remote, *ids: int, reason: str = "", by: str = "") -> list[tuple[int, int]]:
    """Cancel by the cluster's secret, or by another credential; returns ids and outcomes."""
    answer = cluster.stub.CancelJobs(
        pb.CancelJobsRequest(jobids=ids, reason=reason), metadata=bearer(by or cluster.secret)
    )
    assert all(result.message for result in answer.results)
    return [(result.jobid, result.outcome) for result in answer.results]


def pages(cluster: Remote, **search: Any) -> list[list[pb.Job]]:
    """All pages of a listing, by the cluster's secret unless `by` is another credential."""
    by, found, token = search.pop("by", cluster.secret), [], ""
    while True:
        request = pb.ListJobsRequest(page_token=token, **search)
        page = cluster.stub.ListJobs(request, metadata=bearer(by), timeout=PATIENCE_SECONDS)
        found.append(list(page.jobs))
        token = page.next_page_token
        if not token:
            return found
