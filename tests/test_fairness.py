"""Fair queueing of the database's work: whoever has much to do keeps nobody else waiting."""

import asyncio
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import Mock

import pytest

from grpc_api.later import later_pb2 as later
from grpc_api.later.rpcs import LaterRpcs, MemoryGraph
from grpc_api.rpcs.leaks import LeakRpcs
from grpc_api.rpcs.login import LoginRpcs
from grpc_api.rpcs.registration import RegistrationRpcs
from grpc_api.runtime.fairness import FairQueue, Usage
from grpc_api.runtime.thread_pools import ThreadPools
from rainbow.errors import Unavailable
from rainbow.protos import rainbow_pb2 as pb
from tests.support.patience import PATIENCE_SECONDS


class Clock:
    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def usage(clock: Clock) -> Usage:
    return Usage(clock)


def test_callers_take_turns_and_each_is_served_in_order(usage: Usage) -> None:
    queue = FairQueue[str](usage)
    for caller, item in (("a", "a1"), ("a", "a2"), ("a", "a3"), ("b", "b1"), ("c", "c1"), ("b", "b2")):
        queue.add(caller, item)

    assert queue.first() == "a1"
    assert [queue.next() for _ in range(len(queue) + 1)] == ["a1", "b1", "c1", "a2", "b2", "a3", None]


def test_what_was_given_up_costs_its_caller_no_turn(usage: Usage) -> None:
    queue = FairQueue[str](usage, is_given_up=lambda item: item.startswith("gone"))
    for caller, item in (("a", "gone1"), ("b", "b1"), ("a", "gone2"), ("a", "a1"), ("b", "b2"), ("c", "gone3")):
        queue.add(caller, item)

    assert queue.first() == "a1"
    assert [queue.next() for _ in range(4)] == ["a1", "b1", "b2", None]
    assert (len(queue), queue.due()) == (0, None)


def test_a_caller_that_used_much_lets_those_by_that_come_soon_after_it(usage: Usage, clock: Clock) -> None:
    queue = FairQueue[str](usage)
    usage.charge("busy", 0.5)
    for caller, seconds in (("busy", 0.0), ("soon", 0.04), ("late", 0.06)):
        clock.seconds = 100.0 + seconds
        queue.add(caller, caller)

    assert [queue.next() for _ in range(3)] == ["soon", "busy", "late"]


def test_what_a_caller_is_charged_while_it_waits_counts(usage: Usage, clock: Clock) -> None:
    queue = FairQueue[str](usage)
    queue.add("busy", "busy")
    clock.seconds += 0.01
    queue.add("other", "other")
    usage.charge("busy", 0.5)

    assert [queue.next(), queue.next()] == ["other", "busy"]


def test_use_is_forgotten_and_so_are_those_who_used_nothing_lately(usage: Usage, clock: Clock) -> None:
    usage.charge("busy", 0.5)
    assert usage.share("busy") == 0.5

    clock.seconds += 3
    assert usage.share("busy") < 0.03

    for number in range(5_000):
        clock.seconds += 0.01
        usage.charge(f"made up {number}", 0.001)
    assert usage.share("busy") == 0.0
    assert len(usage) <= 1_001


def test_made_up_names_are_not_kept_however_long_they_are(usage: Usage) -> None:
    tracemalloc.start()
    try:
        for number in range(500):
            usage.charge(f"{number}" + 100_000 * "x", 0.1)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert len(usage) == 500
    assert kept < 1_000_000
    assert usage.share("7" + 100_000 * "x") > 0


def test_what_is_taken_at_once_is_all(usage: Usage) -> None:
    queue = FairQueue[int](usage)
    for number in range(5):
        queue.add(str(number % 2), number)

    assert sorted(queue.take_all()) == [0, 1, 2, 3, 4]
    assert queue.first() is None
    assert queue.next() is None


def test_a_caller_with_a_hundred_reads_lets_another_by() -> None:
    done: list[str] = []

    async def scenario() -> None:
        pools, gate, over = ThreadPools(), threading.Event(), threading.Event()
        # One thread does all of it: several may finish in another order than they begin.
        held = [pools.read(lambda: over.wait(PATIENCE_SECONDS), caller="busy") for _ in range(pools.readers.number - 1)]
        blocked = pools.read(lambda: gate.wait(PATIENCE_SECONDS), caller="busy")
        many = [pools.read(lambda: done.append("busy"), caller="busy") for _ in range(100)]
        others = [asyncio.create_task(each) for each in held]
        tasks = [asyncio.create_task(each) for each in (blocked, *many)]
        await asyncio.sleep(0)
        tasks.append(asyncio.create_task(pools.read(lambda: done.append("other"), caller="other")))
        await asyncio.sleep(0)
        gate.set()
        await asyncio.gather(*tasks)
        over.set()
        await asyncio.gather(*others)
        pools.close()

    asyncio.run(scenario())

    assert done.index("other") < 10
    assert len(done) == 101


@pytest.mark.parametrize(
    "call",
    [
        lambda server, call: RegistrationRpcs(server, registration_secret="").Register(pb.RegisterRequest(), call),
        lambda server, call: LoginRpcs(server).BeginLogin(pb.BeginLoginRequest(), call),
        lambda server, call: LoginRpcs(server).CollectLogin(pb.CollectLoginRequest(), call),
        lambda server, call: LeakRpcs(server).RevokeLeaked(pb.RevokeLeakedRequest(), call),
        lambda server, call: LaterRpcs(server, registration_secret="").Register(later.RegisterRequest(), call),
        lambda server, call: MemoryGraph(server).Satisfy(later.SatisfyRequest(), call),
    ],
    ids=["Register", "BeginLogin", "CollectLogin", "RevokeLeaked", "the later Register", "Satisfy"],
)
def test_calls_without_a_credential_take_the_turns_of_their_address(call: Callable[[Any, Any], Any]) -> None:
    """Under no name is what the server itself has to do, such as ending leases: it would wait behind them."""
    turns = list[str]()

    async def told(_: object, *, caller: str = "") -> None:
        turns.append(caller)
        raise Unavailable("away")

    server = Mock(pools=Mock(write=told, read=told))
    peer = Mock(peer=lambda: "ipv4:192.0.2.7:50000", bearer="")
    with pytest.raises(Unavailable):
        asyncio.run(call(server, peer))

    assert turns == ["192.0.2.7"]


def test_work_that_fails_as_no_future_can_fails_its_own_caller_and_no_other() -> None:
    async def scene() -> int:
        pools = ThreadPools()
        nothing: Iterator[int] = iter(())
        try:
            with pytest.raises(RuntimeError, match="StopIteration"):
                await asyncio.wait_for(pools.read(lambda: next(nothing)), PATIENCE_SECONDS)
            return await asyncio.wait_for(pools.read(lambda: 7), PATIENCE_SECONDS)
        finally:
            pools.close()

    assert asyncio.run(scene()) == 7


def test_what_nobody_waits_for_any_more_is_not_begun() -> None:
    done: list[str] = []

    async def scenario() -> None:
        pools, gate = ThreadPools(), threading.Event()
        blocked = [asyncio.create_task(pools.read(lambda: gate.wait(PATIENCE_SECONDS))) for _ in range(4)]
        given_up = asyncio.create_task(pools.read(lambda: done.append("given up")))
        wanted = asyncio.create_task(pools.read(lambda: done.append("wanted")))
        await asyncio.sleep(0)
        given_up.cancel()
        await asyncio.sleep(0)
        gate.set()
        await asyncio.gather(*blocked, wanted)
        pools.close()

    asyncio.run(scenario())

    assert done == ["wanted"]
