"""The calls that extend the original protocol."""

from collections.abc import Callable
from typing import Any

from google.protobuf.message import Message

from benchmarks import requests
from benchmarks.cases import JOBS, Case, path_of
from benchmarks.cluster import Cluster
from benchmarks.supply import Supply
from rainbow.protos import rainbow_pb2 as pb


def submit_jobs(cluster: Cluster, *, each: int = JOBS, submitted: list[int] | None = None) -> Case:
    ids = [] if submitted is None else submitted
    jobs = [requests.job(f"{requests.COMMAND} {number}") for number in range(each)]

    def is_right(answer: pb.SubmitJobsResponse) -> bool:
        new = [result.jobid for result in answer.results if result.jobid]
        ids.extend(new)
        return len(new) == each

    request = pb.SubmitJobsRequest(cluster=cluster.name, jobs=jobs)
    return _same(f"SubmitJobs({each:,})", cluster, request, pb.SubmitJobsResponse, is_right, cluster.token, jobs=each)


def submit_job_stream(cluster: Cluster) -> Case:
    """A stream of one batch: what a stream costs more than a call."""
    jobs = [requests.job(requests.COMMAND)] * JOBS

    def is_right(answer: pb.SubmitJobStreamResponse) -> bool:
        return sum(result.jobid > 0 for result in answer.results) == JOBS

    request, answer = pb.SubmitJobStreamRequest(cluster=cluster.name, jobs=jobs), pb.SubmitJobStreamResponse
    return _same(f"SubmitJobStream({JOBS})", cluster, request, answer, is_right, cluster.token, jobs=JOBS)


def get_jobs(cluster: Cluster, job_ids: list[int]) -> Case:
    def is_right(answer: pb.GetJobsResponse) -> bool:
        return len(answer.jobs) == len(job_ids)

    request = pb.GetJobsRequest(cluster=cluster.name, jobids=job_ids)
    return _same(f"GetJobs({len(job_ids)})", cluster, request, pb.GetJobsResponse, is_right, jobs=len(job_ids))


def list_jobs(cluster: Cluster, *, name: str = f"ListJobs({JOBS})") -> Case:
    def is_right(answer: pb.ListJobsResponse) -> bool:
        return len(answer.jobs) == JOBS

    request = pb.ListJobsRequest(cluster=cluster.name, page_size=JOBS)
    return _same(name, cluster, request, pb.ListJobsResponse, is_right, jobs=JOBS)


def summarize_jobs(cluster: Cluster, *, name: str = "SummarizeJobs") -> Case:
    def is_right(answer: pb.SummarizeJobsResponse) -> bool:
        return answer.cluster == cluster.name

    return _same(name, cluster, pb.SummarizeJobsRequest(cluster=cluster.name), pb.SummarizeJobsResponse, is_right)


def get_group(cluster: Cluster, group: int) -> Case:
    def is_right(answer: pb.GetGroupResponse) -> bool:
        return answer.group.id == group

    return _same("GetGroup", cluster, pb.GetGroupRequest(cluster=cluster.name, id=group), pb.GetGroupResponse, is_right)


def cancel_group(cluster: Cluster, group: int) -> Case:
    """Of a group that is being cancelled already: its member cannot be stopped from here."""

    def is_right(answer: pb.CancelGroupResponse) -> bool:
        return answer.group.HasField("stopped_at")

    request = pb.CancelGroupRequest(cluster=cluster.name, id=group)
    return _same("CancelGroup", cluster, request, pb.CancelGroupResponse, is_right)


def list_groups(cluster: Cluster, group: int) -> Case:
    def is_right(answer: pb.ListGroupsResponse) -> bool:
        return [one.id for one in answer.groups] == [group]

    request = pb.ListGroupsRequest(cluster=cluster.name, page_size=JOBS)
    return _same("ListGroups", cluster, request, pb.ListGroupsResponse, is_right)


def list_clusters(cluster: Cluster) -> Case:
    def is_right(answer: pb.ListClustersResponse) -> bool:
        return [one.name for one in answer.clusters] == [cluster.name]

    return _same(
        "ListClusters", cluster, pb.ListClustersRequest(cluster=cluster.name), pb.ListClustersResponse, is_right
    )


def rotate_credential(cluster: Cluster) -> Case:
    """Replaces the token, so that the secret goes on serving, without a grace: few replaced values work at a time."""

    def is_right(answer: pb.RotateCredentialResponse) -> bool:
        return bool(answer.credential)

    request = pb.RotateCredentialRequest(cluster=cluster.name, kind=pb.CREDENTIAL_KIND_TOKEN, grace_seconds=0)
    return _same("RotateCredential", cluster, request, pb.RotateCredentialResponse, is_right)


def watch_jobs(cluster: Cluster, job_ids: list[int]) -> Case:
    """Of a job that is over: the stream says so and ends."""

    def is_right(answer: pb.WatchJobsResponse) -> bool:
        return answer.job.id in job_ids

    return _same(
        "WatchJobs(1)",
        cluster,
        pb.WatchJobsRequest(cluster=cluster.name, jobids=job_ids),
        pb.WatchJobsResponse,
        is_right,
    )


def heartbeat(cluster: Cluster, job_ids: list[int]) -> Case:
    """A report without news, which renews the leases. The jobs are the agent's."""

    def is_right(answer: pb.ReportJobsResponse) -> bool:
        return all(result.outcome == result.OUTCOME_COUNTED for result in answer.results)

    request = requests.report(cluster, [requests.still_running(job_id) for job_id in job_ids])
    name = f"ReportJobs({len(job_ids)}), no news"
    return _same(name, cluster, request, pb.ReportJobsResponse, is_right, jobs=len(job_ids))


def report_ends(cluster: Cluster) -> Case:
    supply = Supply(lambda count: accepted(cluster, count))

    def message(job_ids: list[int]) -> bytes:
        return requests.report(cluster, [requests.completed(job_id) for job_id in job_ids]).SerializeToString()

    def is_right(reply: bytes) -> bool:
        answer = pb.ReportJobsResponse.FromString(reply)
        return all(result.outcome == result.OUTCOME_COUNTED for result in answer.results)

    return Case(
        name=f"ReportJobs({JOBS}), ends",
        server=cluster.server,
        method=path_of("ReportJobs"),
        messages=lambda seconds: map(message, supply.take(seconds, each=JOBS)),
        is_right=is_right,
        metadata=requests.metadata(cluster.secret),
        jobs=JOBS,
    )


def cancel_jobs(cluster: Cluster) -> Case:
    supply = Supply(cluster.add_jobs)

    def message(job_ids: list[int]) -> bytes:
        return pb.CancelJobsRequest(cluster=cluster.name, jobids=job_ids).SerializeToString()

    def is_right(reply: bytes) -> bool:
        answer = pb.CancelJobsResponse.FromString(reply)
        return all(result.outcome == result.OUTCOME_CANCELLED for result in answer.results)

    return Case(
        name=f"CancelJobs({JOBS})",
        server=cluster.server,
        method=path_of("CancelJobs"),
        messages=lambda seconds: map(message, supply.take(seconds, each=JOBS)),
        is_right=is_right,
        metadata=requests.metadata(cluster.secret),
        jobs=JOBS,
    )


def resubmit_jobs(cluster: Cluster, over: list[int]) -> Case:
    request = pb.ResubmitJobsRequest(
        cluster=cluster.name, jobids=over, changes=pb.JobSpec(nodes=1), idempotency_key=requests.KEY
    )

    def is_right(reply: bytes) -> bool:
        return all(result.jobid for result in pb.ResubmitJobsResponse.FromString(reply).results)

    return Case(
        name=f"ResubmitJobs({len(over)})",
        server=cluster.server,
        method=path_of("ResubmitJobs"),
        messages=lambda seconds: requests.keyed(request),
        is_right=is_right,
        metadata=requests.metadata(cluster.token),
        jobs=len(over),
    )


def accepted(cluster: Cluster, count: int) -> list[int]:
    job_ids = cluster.add_jobs(count)
    cluster.accept(job_ids, agent=requests.AGENT)
    return job_ids


def _same(
    name: str,
    cluster: Cluster,
    request: Message,
    answer: type[Message],
    is_right: Callable[[Any], bool],
    credential: str = "",
    *,
    jobs: int = 0,
) -> Case:
    return Case(
        name=name,
        server=cluster.server,
        method=path_of(request.DESCRIPTOR.name.removesuffix("Request")),
        messages=lambda seconds: requests.keyed(request),
        is_right=lambda reply: is_right(answer.FromString(reply)),
        metadata=requests.metadata(credential or cluster.secret),
        jobs=jobs,
    )
