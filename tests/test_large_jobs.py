"""Whoever asks for many large jobs gets as many as fit one answer, and the server holds no more of them than that."""

import tracemalloc
from collections.abc import Callable
from datetime import datetime

import pytest

from clusters.callers import Caller
from grpc_api.rpcs import jobs, queue
from jobs.models import Job
from jobs.queries.lookup import find_jobs, list_jobs
from jobs.queries.queue import request_jobs
from jobs.queries.search import Search
from jobs.rest.job_rows import write_jobs
from jobs.services.orders import Order
from jobs.services.submit import submit_jobs
from jobs.specs import MAX_COMMAND_BYTES, JobSpec
from rainbow.protos import rainbow_pb2 as pb
from tests.conftest import Member
from tests.support.rest import submitter

MEGABYTE = 2**20
LARGE = JobSpec(command="x" * MAX_COMMAND_BYTES, environment={"A": "y" * 60_000})
SMALL = JobSpec(command="hostname")
MANY = 400  # 49 MiB of large ones


def submitted(member: Member, spec: JobSpec, number: int, now: datetime) -> list[int]:
    orders = [Order(by=member.submitter, cluster_id=member.cluster.id, spec=spec) for _ in range(number)]
    receipts = submit_jobs(orders=orders, now=now)
    return [receipt.job_id for receipt in receipts if not isinstance(receipt, Exception)]


def got(by: Caller, ids: list[int], now: datetime) -> int:
    return len(jobs.get(pb.GetJobsRequest(jobids=ids), by, now).jobs)


def listed(by: Caller, ids: list[int], now: datetime) -> int:
    return len(jobs.list_page(pb.ListJobsRequest(page_size=1_000), by, now).jobs)


def listed_oldest_first(by: Caller, ids: list[int], now: datetime) -> int:
    return len(list_jobs(by=by, search=Search(size=1_000, oldest_first=True)).jobs)


def written(by: Caller, ids: list[int], now: datetime) -> int:
    return len(write_jobs(ids[::-1], with_content=True).ids)


def written_oldest_first(by: Caller, ids: list[int], now: datetime) -> int:
    return len(write_jobs(ids, with_content=True).ids)


def offered(by: Caller, ids: list[int], now: datetime) -> int:
    (answer,) = queue.queue_replies([(pb.RequestJobsRequest(), by)], now)
    return len(answer.reply.jobs)


@pytest.mark.parametrize("call", [got, listed, listed_oldest_first, written, written_oldest_first, offered])
@pytest.mark.parametrize("small_ones_before", [0, 200])
def test_many_large_jobs_take_little_memory(
    alpha: Member, now: datetime, call: Callable[[Caller, list[int], datetime], int], small_ones_before: int
) -> None:
    ids = submitted(alpha, SMALL, small_ones_before, now) + submitted(alpha, LARGE, MANY, now)

    tracemalloc.start()
    number = call(alpha.puller, ids, now)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert 30 <= number < MANY
    assert peak < 25 * MEGABYTE


def test_pages_of_large_jobs_end_early_and_lose_none(alpha: Member, now: datetime) -> None:
    ids = submitted(alpha, LARGE, 100, now)
    asked, found = "jobs?page_size=100&ordering=id", list[int]()

    while asked:
        answer = submitter(alpha).get(asked)
        page = answer.json()
        assert 0 < len(page["results"]) < 100
        # Not of what was not read.
        assert ("ETag" in answer) == (page["next"] is None)
        found += [job["id"] for job in page["results"]]
        asked = (page["next"] or "").rpartition("/api/v1/")[2]

    assert found == ids


def test_the_queue_of_large_and_small_jobs_is_offered_whole_and_in_order(alpha: Member, now: datetime) -> None:
    ids = [job_id for spec in (SMALL, LARGE, SMALL, LARGE) for job_id in submitted(alpha, spec, 60, now)]

    assert [job.id for job in request_jobs(caller=alpha.puller, now=now)] == ids
    assert [job.id for job in request_jobs(caller=alpha.puller, limit=130, now=now)] == ids[:130]


def test_what_does_not_fit_remains_and_what_is_not_there_is_missing(alpha: Member, beta: Member, now: datetime) -> None:
    ids = submitted(alpha, LARGE, 60, now)
    theirs = submitted(beta, SMALL, 2, now)

    found = find_jobs(by=alpha.submitter, job_ids=[*theirs, *ids, *ids])

    assert [job.id for job in found.jobs] + found.remaining == ids
    assert found.jobs
    assert found.remaining
    assert found.missing == theirs


def test_one_job_always_fits(alpha: Member, now: datetime) -> None:
    (first, second) = submitted(alpha, LARGE, 2, now)
    Job.objects.filter(id=first).update(output="z" * 5 * MEGABYTE)

    assert [job.id for job in find_jobs(by=alpha.submitter, job_ids=[first, second]).jobs] == [first]
    assert [job.id for job in find_jobs(by=alpha.submitter, job_ids=[first]).jobs] == [first]
