"""The calls of the original protocol, as its published clients make them: no metadata, and no field since added."""

from collections.abc import Callable
from dataclasses import replace

from google.protobuf.message import Message

from benchmarks import cases, requests
from benchmarks.bench import AnyServer
from benchmarks.cases import JOBS, Case
from benchmarks.cluster import Cluster
from benchmarks.supply import Supply

_NAME = "{}, published client"


def serial(server: AnyServer) -> Case:
    return _published(cases.serial(server, name="Serial"))


def register_cluster(server: AnyServer) -> Case:
    return _published(cases.register_cluster(server))


def submit_job(cluster: Cluster) -> Case:
    return _published(cases.submit_job(cluster), lambda: requests.published_submission(cluster))


def request_jobs(cluster: Cluster) -> Case:
    return _published(cases.request_jobs(cluster), lambda: requests.published_request(cluster, jobs=JOBS))


def accept_jobs(cluster: Cluster, supply: Supply, *, each: int = JOBS) -> Case:
    def message(job_ids: list[int]) -> bytes:
        return requests.published_acceptance(cluster, job_ids).SerializeToString()

    case = _published(cases.accept_jobs(cluster, supply, each=each))
    return replace(case, messages=lambda seconds: map(message, supply.take(seconds, each=each)))


def _published(case: Case, request: Callable[[], Message] | None = None) -> Case:
    messages = (lambda seconds: requests.keyed(request())) if request else case.messages
    return replace(case, name=_NAME.format(case.name), metadata={}, messages=messages)
