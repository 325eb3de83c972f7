"""The calls that are measured: what they send, and how to tell a right answer."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import repeat

from benchmarks.bench import Server
from benchmarks.cluster import Cluster
from rainbow.protos import rainbow_pb2 as pb

_SERVICE = pb.DESCRIPTOR.services_by_name["RainbowScheduler"].full_name
# How many jobs one RequestJobs asks for, and one AcceptJobs takes.
JOBS = 10
# More than a server accepts in a second.
_ACCEPTED_A_SECOND = 25_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A call to measure. `messages` gives what to send in so many seconds, before their clock starts."""

    name: str
    server: Server
    method: str
    messages: Callable[[float], Iterator[bytes]]
    is_right: Callable[[bytes], bool]


def path_of(call: str) -> str:
    return f"/{_SERVICE}/{call}"


def serial(server: Server, *, name: str = "Serial (no-op)") -> Case:
    message = pb.Request(content=pb.Content(id="benchmark")).SerializeToString()
    return Case(
        name=name,
        server=server,
        method=path_of("Serial"),
        messages=lambda seconds: repeat(message),
        is_right=lambda reply: pb.Response.FromString(reply).request_id == "benchmark",
    )


def submit_job(server: Server, cluster: Cluster, *, submitted: list[int], name: str = "SubmitJob") -> Case:
    """The ids of the answers are added to `submitted`."""
    message = pb.SubmitJobRequest(
        name="hostname", cluster=cluster.name, token=cluster.token, nodes=1, command="hostname"
    ).SerializeToString()

    def is_right(reply: bytes) -> bool:
        answer = pb.SubmitJobResponse.FromString(reply)
        submitted.append(answer.jobid)
        return answer.status == answer.SUBMIT_SUCCESS

    return Case(
        name=name,
        server=server,
        method=path_of("SubmitJob"),
        messages=lambda seconds: repeat(message),
        is_right=is_right,
    )


def request_jobs(server: Server, cluster: Cluster, *, name: str = f"RequestJobs({JOBS})") -> Case:
    message = pb.RequestJobsRequest(cluster=cluster.name, secret=cluster.secret, maxJobs=JOBS).SerializeToString()

    def is_right(reply: bytes) -> bool:
        answer = pb.RequestJobsResponse.FromString(reply)
        return answer.status == answer.REQUEST_JOBS_SUCCESS and len(answer.jobs) == JOBS

    return Case(
        name=name,
        server=server,
        method=path_of("RequestJobs"),
        messages=lambda seconds: repeat(message),
        is_right=is_right,
    )


def accept_jobs(server: Server, cluster: Cluster, *, name: str = f"AcceptJobs({JOBS})") -> Case:
    """Each job is taken once; before each measurement the queue is filled up."""
    left: list[int] = []

    def messages(seconds: float) -> Iterator[bytes]:
        left.extend(cluster.add_jobs(max(0, int(seconds * _ACCEPTED_A_SECOND) - len(left))))
        return _acceptances(cluster, left)

    def is_right(reply: bytes) -> bool:
        answer = pb.AcceptJobsResponse.FromString(reply)
        return answer.status == answer.RESULT_TYPE_SUCCESS

    return Case(name=name, server=server, method=path_of("AcceptJobs"), messages=messages, is_right=is_right)


def _acceptances(cluster: Cluster, job_ids: list[int]) -> Iterator[bytes]:
    """Serializes as it goes, so that what is left of the ids is known."""
    while len(job_ids) >= JOBS:
        taken = job_ids[-JOBS:]
        del job_ids[-JOBS:]
        request = pb.AcceptJobsRequest(cluster=cluster.name, secret=cluster.secret, jobids=taken)
        yield request.SerializeToString()
