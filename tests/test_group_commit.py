"""Calls that arrive together share a commit, and each has its own answer."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import grpc
import pytest
from django.test.utils import CaptureQueriesContext

from clusters.callers import Claim
from grpc_api.rpcs.server_state import Answered, Claimed
from grpc_api.rpcs.submission import answer_submissions
from grpc_api.runtime.group_commit import MAX_JOBS_PER_BATCH, GroupCommit
from jobs.models import Job
from rainbow.errors import InvalidArgument, Unauthenticated
from rainbow.protos import rainbow_pb2 as pb
from rainbow.protos import rainbow_pb2_grpc as rpc
from tests.support.patience import PATIENCE_SECONDS


class Gate:
    """Work that notes its batches and waits until the test lets it go on."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.batches: list[list[Any]] = []

    async def __call__(self, items: list[Any]) -> list[Any]:
        self.batches.append(items)
        await self.open.wait()
        return [ValueError(item) if item == "bad" else item * 2 for item in items]


async def _turn() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


def test_what_arrives_while_a_batch_is_under_way_is_the_next_batch() -> None:
    async def scene() -> tuple[list[list[Any]], list[Any]]:
        gate = Gate()
        together: GroupCommit[Any, Any] = GroupCommit(gate, verb="submit", most=100)
        calls = [asyncio.create_task(together(1))]
        await _turn()
        calls += [asyncio.create_task(together(number)) for number in (2, 3, 4)]
        await _turn()
        gate.open.set()
        return gate.batches, await asyncio.gather(*calls)

    batches, answers = asyncio.run(scene())

    assert batches == [[1], [2, 3, 4]]
    assert answers == [2, 4, 6, 8]


def test_batches_under_way_at_once_share_what_waits() -> None:
    async def scene() -> tuple[list[list[Any]], list[Any]]:
        gate = Gate()
        together: GroupCommit[Any, Any] = GroupCommit(gate, verb="request", most=100, at_once=2)
        calls = []
        for number in range(1, 7):
            calls.append(asyncio.create_task(together(number)))
            await _turn()
        gate.open.set()
        return gate.batches, await asyncio.gather(*calls)

    batches, answers = asyncio.run(asyncio.wait_for(scene(), PATIENCE_SECONDS))

    assert batches == [[1], [2], [3, 4], [5], [6]]
    assert answers == [2, 4, 6, 8, 10, 12]


@pytest.mark.parametrize("results", [[], [1, 2, 3]])
def test_work_that_answers_too_few_or_too_many_fails_its_own_batch_alone(results: list[int]) -> None:
    async def work(items: list[Any]) -> list[Any]:
        return results if "bad" in items else items

    async def scene() -> list[Any]:
        together: GroupCommit[Any, Any] = GroupCommit(work, verb="submit", most=2)
        calls = ("bad", "worse", "good", "better")
        return await asyncio.gather(*map(together, calls), return_exceptions=True)

    bad, worse, *good = asyncio.run(asyncio.wait_for(scene(), PATIENCE_SECONDS))

    assert isinstance(bad, RuntimeError)
    assert isinstance(worse, RuntimeError)
    assert good == ["good", "better"]


def test_a_batch_holds_no_more_than_it_may() -> None:
    async def scene() -> list[list[Any]]:
        gate = Gate()
        gate.open.set()
        together: GroupCommit[Any, Any] = GroupCommit(gate, verb="submit", most=2)
        await asyncio.gather(*(together(number) for number in range(5)))
        return gate.batches

    assert [len(batch) for batch in asyncio.run(scene())] == [2, 2, 1]


def test_a_batch_holds_no_more_jobs_than_are_done_soon_unless_one_call_does() -> None:
    async def scene() -> list[list[Any]]:
        gate = Gate()
        gate.open.set()
        together: GroupCommit[Any, Any] = GroupCommit(gate, verb="submit", most=100, jobs_of=lambda jobs: int(jobs))
        await asyncio.gather(*(together(jobs) for jobs in (1, MAX_JOBS_PER_BATCH - 1, 1, MAX_JOBS_PER_BATCH + 1, 2, 3)))
        return gate.batches

    assert asyncio.run(scene()) == [[1, MAX_JOBS_PER_BATCH - 1], [1], [MAX_JOBS_PER_BATCH + 1], [2, 3]]


def test_a_caller_with_many_calls_delays_no_other_by_more_than_a_batch() -> None:
    async def scene() -> list[list[Any]]:
        gate = Gate()
        gate.open.set()
        together: GroupCommit[str, str] = GroupCommit(gate, verb="submit", most=3, caller_of=lambda call: call[0])
        await asyncio.gather(*map(together, ("a1", "a2", "a3", "a4", "a5", "b1", "b2")))
        return gate.batches

    assert asyncio.run(scene()) == [["a1", "b1", "a2"], ["b2", "a3", "a4"], ["a5"]]


def test_a_bad_call_fails_alone() -> None:
    async def scene() -> list[Any]:
        gate = Gate()
        gate.open.set()
        together: GroupCommit[Any, Any] = GroupCommit(gate, verb="submit", most=100)
        return await asyncio.gather(together("a"), together("bad"), together("b"), return_exceptions=True)

    first, bad, last = asyncio.run(scene())

    assert (first, last) == ("aa", "bb")
    assert isinstance(bad, ValueError)


def test_when_the_work_fails_every_call_is_told_and_the_next_batch_runs() -> None:
    async def work(items: list[int]) -> list[Any]:
        if 1 in items:
            raise OSError("disk full")
        return list(items)

    async def scene() -> list[Any]:
        together: GroupCommit[int, int] = GroupCommit(work, verb="submit", most=100)
        failed = await asyncio.gather(together(1), together(1), return_exceptions=True)
        return [*failed, await together(2)]

    *failed, fine = asyncio.run(scene())

    assert all(isinstance(failure, OSError) for failure in failed)
    assert fine == 2


def test_a_caller_that_gives_up_does_not_disturb_the_others() -> None:
    async def scene() -> tuple[list[list[Any]], int]:
        gate = Gate()
        together: GroupCommit[Any, Any] = GroupCommit(gate, verb="submit", most=100)
        quitter, patient = asyncio.create_task(together(1)), asyncio.create_task(together(2))
        await _turn()
        quitter.cancel()
        await _turn()
        gate.open.set()
        return gate.batches, await patient

    batches, answer = asyncio.run(scene())

    assert batches == [[1, 2]]
    assert answer == 4


def test_one_transaction_carries_good_calls_past_bad_ones(
    alpha: Any, beta: Any, now: datetime, django_assert_max_num_queries: Callable[..., CaptureQueriesContext]
) -> None:
    def asked(cluster: str, token: str, **fields: Any) -> Claimed[pb.SubmitJobRequest]:
        request = pb.SubmitJobRequest(cluster=cluster, token=token, nodes=1, command="true", **fields)
        return Claimed(request=request, claim=Claim(value=token, cluster=cluster))

    calls = [
        asked("alpha", alpha.token),
        asked("alpha", beta.token),
        asked("beta", beta.token, idempotency_key="k"),
        asked("beta", beta.token, priority=1000),
        asked("beta", beta.token, idempotency_key="k"),
        asked("nowhere", "wrong"),
    ]

    # The first make the queues.
    answer_submissions([asked("alpha", alpha.token), asked("beta", beta.token)], now)

    with django_assert_max_num_queries(15):
        first, strange, keyed, bad, again, unknown = answer_submissions(calls, now)

    assert isinstance(strange, Unauthenticated) and str(strange) == str(unknown)
    assert isinstance(bad, InvalidArgument) and bad.field == "priority"
    assert isinstance(first, Answered) and isinstance(keyed, Answered) and isinstance(again, Answered)
    assert again.reply.duplicate and again.reply.jobid == keyed.reply.jobid
    assert Job.objects.count() == 2 + 2


@pytest.mark.parametrize("batch", ["1", "256"])
def test_callers_at_once_get_their_own_jobs(start_server: Callable[..., Any], batch: str) -> None:
    server = start_server(environment={"RAINBOW_BATCH": batch})
    with grpc.insecure_channel(server.address) as channel:
        stub = rpc.RainbowSchedulerStub(channel)
        new = stub.Register(pb.RegisterRequest(name="crowd", secret=server.registration_secret))

        def submit(number: int) -> tuple[int, int]:
            request = pb.SubmitJobRequest(cluster="crowd", token=new.token, nodes=1, command=f"echo {number}")
            return number, stub.SubmitJob(request, timeout=PATIENCE_SECONDS).jobid

        with ThreadPoolExecutor(32) as crowd:
            ids = dict(crowd.map(submit, range(200)))
        metadata = (("authorization", f"Bearer {new.token}"),)
        jobs = stub.GetJobs(pb.GetJobsRequest(jobids=list(ids.values())), metadata=metadata).jobs

    assert {job.id: job.command for job in jobs} == {ids[number]: f"echo {number}" for number in range(200)}
