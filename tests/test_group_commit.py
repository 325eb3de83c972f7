"""Calls that arrive together share a commit, and each has its own answer."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial
from typing import Any

import grpc
import pytest
from django.test.utils import CaptureQueriesContext

from clusters.callers import Claim
from grpc_api.rpcs.server_state import Answered, Claimed
from grpc_api.rpcs.submission import answer_submissions
from grpc_api.runtime.group_commit import MAX_JOBS_PER_BATCH, GroupCommit
from grpc_api.runtime.thread_pools import ThreadPools
from jobs.models import Job
from rainbow.errors import InvalidArgument, Unauthenticated
from rainbow.protos import rainbow_pb2 as pb
from rainbow.protos import rainbow_pb2_grpc as rpc
from tests.support.patience import PATIENCE_SECONDS


class Gate:
    """Work that notes its batches and waits in its thread until the test lets it go on."""

    def __init__(self) -> None:
        self._open = threading.Event()
        self.batches: list[list[Any]] = []

    def __call__(self, items: list[Any]) -> Callable[[], list[Any]]:
        self.batches.append(items)
        return partial(self._answer, items)

    def open(self) -> None:
        self._open.set()

    def wait(self) -> None:
        assert self._open.wait(PATIENCE_SECONDS)

    def _answer(self, items: list[Any]) -> list[Any]:
        self.wait()
        return [ValueError(item) if item == "bad" else item * 2 for item in items]


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def pools() -> Iterator[ThreadPools]:
    pools = ThreadPools()
    yield pools
    pools.close()


def _run(scene: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(asyncio.wait_for(scene, PATIENCE_SECONDS))


async def _turn() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


async def _all(together: GroupCommit[Any, Any], *calls: Any) -> list[Any]:
    return await asyncio.gather(*map(together, calls), return_exceptions=True)


def test_what_arrives_while_a_batch_is_under_way_is_the_next_batch(gate: Gate, pools: ThreadPools) -> None:
    together: GroupCommit[Any, Any] = GroupCommit(pools.writers, gate, verb="submit", most=100)

    async def scene() -> list[Any]:
        first = asyncio.create_task(together(1))
        await _turn()
        others = asyncio.create_task(_all(together, 2, 3, 4))
        await _turn()
        gate.open()
        return [await first, *await others]

    assert _run(scene()) == [2, 4, 6, 8]
    assert gate.batches == [[1], [2, 3, 4]]


def test_batches_under_way_at_once_share_what_waits(gate: Gate, pools: ThreadPools) -> None:
    together: GroupCommit[Any, Any] = GroupCommit(pools.readers, gate, verb="request", most=100, at_once=2)

    async def scene() -> list[Any]:
        calls = []
        for number in range(1, 7):
            calls.append(asyncio.create_task(together(number)))
            await _turn()
        gate.open()
        return await asyncio.gather(*calls)

    assert _run(scene()) == [2, 4, 6, 8, 10, 12]
    assert gate.batches == [[1], [2], [3, 4], [5], [6]]


def test_a_batch_is_made_when_a_thread_is_free_for_it_whatever_the_threads_do(gate: Gate, pools: ThreadPools) -> None:
    at_once = pools.writers.number
    before: GroupCommit[Any, Any] = GroupCommit(pools.writers, gate, verb="accept", most=1, at_once=at_once)
    together: GroupCommit[Any, Any] = GroupCommit(pools.writers, gate, verb="submit", most=100)

    async def scene() -> None:
        calls = [asyncio.create_task(_all(before, *["before"] * at_once))]
        await _turn()
        for number in (1, 2):
            calls.append(asyncio.create_task(_all(together, number)))
            await _turn()
        gate.open()
        await asyncio.gather(*calls)

    _run(scene())

    assert gate.batches == [*[["before"]] * at_once, [1, 2]]


@pytest.mark.parametrize("results", [[], [1, 2, 3]])
def test_work_that_answers_too_few_or_too_many_fails_its_own_batch_alone(
    pools: ThreadPools, results: list[int]
) -> None:
    def work(items: list[Any]) -> Callable[[], list[Any]]:
        return lambda: results if "bad" in items else items

    together: GroupCommit[Any, Any] = GroupCommit(pools.writers, work, verb="submit", most=2)

    bad, worse, *good = _run(_all(together, "bad", "worse", "good", "better"))

    assert isinstance(bad, RuntimeError)
    assert isinstance(worse, RuntimeError)
    assert good == ["good", "better"]


def test_a_batch_holds_no_more_than_it_may(gate: Gate, pools: ThreadPools) -> None:
    gate.open()
    together: GroupCommit[Any, Any] = GroupCommit(pools.writers, gate, verb="submit", most=2)

    _run(_all(together, *range(5)))

    assert [len(batch) for batch in gate.batches] == [2, 2, 1]


def test_a_batch_holds_no_more_jobs_than_are_done_soon_unless_one_call_does(gate: Gate, pools: ThreadPools) -> None:
    gate.open()
    together: GroupCommit[Any, Any] = GroupCommit(pools.writers, gate, verb="submit", most=100, jobs_of=int)

    _run(_all(together, 1, MAX_JOBS_PER_BATCH - 1, 1, MAX_JOBS_PER_BATCH + 1, 2, 3))

    assert gate.batches == [[1, MAX_JOBS_PER_BATCH - 1], [1], [MAX_JOBS_PER_BATCH + 1], [2, 3]]


def test_a_caller_with_many_calls_delays_no_other_by_more_than_a_batch(gate: Gate, pools: ThreadPools) -> None:
    gate.open()
    together: GroupCommit[str, str] = GroupCommit(
        pools.writers, gate, verb="submit", most=3, caller_of=lambda call: call[0]
    )

    _run(_all(together, "a1", "a2", "a3", "a4", "a5", "b1", "b2"))

    assert gate.batches == [["a1", "b1", "a2"], ["b2", "a3", "a4"], ["a5"]]


def test_a_caller_that_used_little_waits_for_no_batch_of_one_that_used_much(gate: Gate, pools: ThreadPools) -> None:
    pools.writers.usage.charge("busy", 100.0)
    reports: GroupCommit[str, str] = GroupCommit(
        pools.writers, gate, verb="report", most=100, caller_of=lambda _: "busy"
    )
    together: GroupCommit[str, str] = GroupCommit(pools.writers, gate, verb="submit", most=100, caller_of=str)

    async def scene() -> None:
        threads = [asyncio.create_task(pools.write(gate.wait)) for _ in range(pools.writers.number)]
        await _turn()
        calls = []
        for commit, call in ((reports, "report"), (together, "busy"), (together, "other")):
            calls.append(asyncio.create_task(_all(commit, call)))
            await _turn()
        gate.open()
        await asyncio.gather(*threads, *calls)

    _run(scene())

    assert gate.batches[0] == ["other"]
    assert sorted(gate.batches[1:]) == [["busy"], ["report"]]


def test_a_bad_call_fails_alone(gate: Gate, pools: ThreadPools) -> None:
    gate.open()
    together: GroupCommit[Any, Any] = GroupCommit(pools.writers, gate, verb="submit", most=100)

    first, bad, last = _run(_all(together, "a", "bad", "b"))

    assert (first, last) == ("aa", "bb")
    assert isinstance(bad, ValueError)


def test_when_the_work_fails_every_call_is_told_and_the_next_batch_runs(pools: ThreadPools) -> None:
    def work(items: list[int]) -> Callable[[], list[Any]]:
        def answer() -> list[Any]:
            if 1 in items:
                raise OSError("disk full")
            return list(items)

        return answer

    together: GroupCommit[int, int] = GroupCommit(pools.writers, work, verb="submit", most=2)

    *failed, fine = _run(_all(together, 1, 1, 2))

    assert all(isinstance(failure, OSError) for failure in failed)
    assert fine == 2


def test_a_caller_that_gives_up_does_not_disturb_the_others(gate: Gate, pools: ThreadPools) -> None:
    together: GroupCommit[Any, Any] = GroupCommit(pools.writers, gate, verb="submit", most=100)

    async def scene() -> Any:
        quitter, patient = asyncio.create_task(together(1)), asyncio.create_task(together(2))
        await _turn()
        quitter.cancel()
        await _turn()
        gate.open()
        return await patient

    assert _run(scene()) == 4
    assert gate.batches == [[1, 2]]


def test_a_call_that_was_given_up_before_its_batch_began_is_not_done(gate: Gate, pools: ThreadPools) -> None:
    async def scene() -> list[Any]:
        together = GroupCommit(pools.writers, gate, verb="test", most=100)
        busy = [asyncio.create_task(pools.write(gate.wait)) for _ in range(pools.writers.number)]
        await _turn()
        calls = [asyncio.create_task(together(number)) for number in range(4)]
        await _turn()
        for quitter in (calls[0], calls[2]):
            quitter.cancel()
        await _turn()
        gate.open()
        await asyncio.gather(*busy)
        return await asyncio.gather(*calls, return_exceptions=True)

    first, second, third, fourth = _run(scene())

    assert [second, fourth] == [2, 6]
    assert all(isinstance(one, asyncio.CancelledError) for one in (first, third))
    assert [item for batch in gate.batches for item in batch] == [1, 3]


def test_who_gave_up_calls_before_waits_no_longer_for_the_next(gate: Gate, pools: ThreadPools) -> None:
    async def scene() -> None:
        together = GroupCommit(pools.writers, gate, verb="test", most=1, caller_of=lambda item: item[0])
        busy = [asyncio.create_task(pools.write(gate.wait)) for _ in range(pools.writers.number)]
        await _turn()
        items = [("a", 1), ("a", 2), ("a", 3), *(("b", number) for number in range(3))]
        calls = [asyncio.create_task(together(item)) for item in items]
        await _turn()
        for quitter in calls[:2]:
            quitter.cancel()
        await _turn()
        gate.open()
        await asyncio.gather(*busy, *calls, return_exceptions=True)

    _run(scene())

    assert [item for batch in gate.batches for item in batch] == [("a", 3), *(("b", number) for number in range(3))]


def test_where_all_have_given_up_nothing_is_done(gate: Gate, pools: ThreadPools) -> None:
    async def scene() -> Any:
        together = GroupCommit(pools.writers, gate, verb="test", most=100)
        busy = [asyncio.create_task(pools.write(gate.wait)) for _ in range(pools.writers.number)]
        await _turn()
        quitter = asyncio.create_task(together(1))
        await _turn()
        quitter.cancel()
        await _turn()
        gate.open()
        await asyncio.gather(*busy)
        return await together(2)

    assert _run(scene()) == 4
    assert gate.batches == [[2]]


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
