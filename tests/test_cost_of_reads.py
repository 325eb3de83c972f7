"""What reads of jobs cost: statements, and the columns that they name."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import pytest

from clusters.callers import Claim
from grpc_api.rpcs.call import Call
from grpc_api.rpcs.jobs import JobRpcs, Watched, get, list_page, watched
from grpc_api.rpcs.server_state import Answered
from grpc_api.runtime.wakeups import Wakeups
from rainbow.protos import rainbow_pb2 as pb
from tests.support.queue import submitted
from tests.test_plans import statements_of


def watch(by: Any, ids: list[int], now: datetime) -> Any:
    return watched(pb.WatchJobsRequest(jobids=ids), by, now)


def list_them(by: Any, ids: list[int], now: datetime) -> Any:
    return list_page(pb.ListJobsRequest(page_size=len(ids)), by, now)


def get_them(by: Any, ids: list[int], now: datetime) -> Any:
    return get(pb.GetJobsRequest(jobids=ids), by, now)


@pytest.mark.django_db
@pytest.mark.parametrize("read", [watch, list_them, get_them])
def test_what_reads_many_jobs_names_only_what_it_shows(
    alpha: Any, now: datetime, read: Callable[[Any, list[int], datetime], Any]
) -> None:
    ids = submitted(alpha, 3, now=now)

    of_jobs = [one for one in statements_of(lambda: read(alpha.submitter, ids, now)) if '"reason"' in one]
    last = of_jobs[-1]

    unseen = (
        "facts",
        "last_bounds",
        "last_asked_at",
        "not_ready",
        "paused_reason",
        "given_back",
        "fingerprint",
        "digest",
    )
    assert not [name for name in unseen if name in last]
    assert ("environment" in last) == (read is get_them)


@pytest.mark.django_db
@pytest.mark.parametrize(("number", "statements"), [(1, 1), (10, 2)])
def test_a_watcher_reads_jobs_once_and_counts_their_bytes_only_of_several(
    alpha: Any, now: datetime, number: int, statements: int
) -> None:
    ids = submitted(alpha, number, now=now)

    assert len(statements_of(lambda: watch(alpha.submitter, ids, now))) == statements


@dataclass
class OneRead:
    """What RPCs share, of which each read finds the one job that is over."""

    wakeups: Wakeups = field(default_factory=Wakeups)
    reads: int = 0

    async def caller(self, _claim: Claim) -> Any:
        return SimpleNamespace(holders=())

    async def read(self, *_: Any) -> Answered[Watched]:
        self.reads += 1
        over = pb.Job(id=1, state=pb.JOB_STATE_COMPLETED)
        return Answered(caller=None, reply=Watched(jobs=[over], remaining=[]))  # type: ignore[arg-type]


def test_a_job_that_is_over_is_read_once_by_its_watcher() -> None:
    server: Any = OneRead()

    async def watched_jobs() -> list[int]:
        call = Call(bearer="t", seconds_left=None, knows_extensions=True, peer=str, certified=lambda: None)
        stream = JobRpcs(server).WatchJobs(pb.WatchJobsRequest(jobids=[1, 1]), call)
        return [answer.job.id async for answer in stream]

    assert asyncio.run(watched_jobs()) == [1]
    assert server.reads == 1
