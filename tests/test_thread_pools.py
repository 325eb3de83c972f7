"""The threads in which the database's work is done, and what they do when it fails."""

import asyncio
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from functools import partial

import pytest
from django.db import OperationalError

from grpc_api.runtime.group_commit import GroupCommit
from grpc_api.runtime.thread_pools import ThreadPools
from grpc_api.runtime.worker_threads import Stopped


class Deadlock(Exception):
    """What psycopg raises for a transaction that PostgreSQL undid."""

    sqlstate = "40P01"


class Locked(Exception):
    sqlstate = "55P03"


class Work:
    """Fails so often, for this cause, before it succeeds."""

    def __init__(self, failures: int, cause: Exception) -> None:
        self.left, self.cause, self.runs = failures, cause, 0

    def __call__(self) -> str:
        self.runs += 1
        if self.left:
            self.left -= 1
            raise OperationalError("no") from self.cause
        return "done"


@pytest.fixture
def pools() -> Iterator[ThreadPools]:
    pools = ThreadPools()
    yield pools
    pools.close()


def test_what_a_deadlock_undid_is_done_again(pools: ThreadPools) -> None:
    work = Work(3, Deadlock())

    assert asyncio.run(pools.write(work)) == "done"
    assert work.runs == 4


@pytest.mark.parametrize(("cause", "runs"), [(Deadlock(), 4), (Locked(), 1)], ids=["deadlock", "locked"])
def test_what_goes_on_failing_is_told(pools: ThreadPools, cause: Exception, runs: int) -> None:
    work = Work(100, cause)

    with pytest.raises(OperationalError):
        asyncio.run(pools.write(work))

    assert work.runs == runs


def test_once_they_are_closed_no_work_is_begun_and_none_waits_for_ever(pools: ThreadPools) -> None:
    errors: list[object] = []
    gate = threading.Event()

    async def run() -> list[object]:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context))
        at_work = [asyncio.ensure_future(pools.write(gate.wait)) for _ in range(pools.writers.number)]
        waiting = [asyncio.ensure_future(pools.write(bool)) for _ in range(2)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        threading.Timer(0.05, gate.set).start()
        assert pools.close()
        late = await asyncio.gather(pools.write(bool), return_exceptions=True)
        return [*await asyncio.gather(*at_work, *waiting, return_exceptions=True), *late]

    *done, cancelled, refused, late = asyncio.run(run())

    assert done == [True] * pools.writers.number
    assert isinstance(cancelled, asyncio.CancelledError)
    assert isinstance(refused, Stopped)
    assert isinstance(late, Stopped)
    assert errors == []


def alone(pools: ThreadPools) -> Callable[[bytearray, str], Awaitable[object]]:
    return lambda content, caller: pools.write(partial(len, content), caller=caller)


def together(pools: ThreadPools) -> Callable[[bytearray, str], Awaitable[object]]:
    calls = GroupCommit[tuple[bytearray, str], int](
        pools.writers, lambda items: lambda: [0] * len(items), verb="test", most=100, caller_of=lambda item: item[1]
    )
    return lambda content, caller: calls((content, caller))


@pytest.mark.parametrize("way", [alone, together])
def test_what_was_asked_is_let_go_once_it_is_given_up(
    pools: ThreadPools, way: Callable[[ThreadPools], Callable[[bytearray, str], Awaitable[object]]]
) -> None:
    """While all threads are busy: else who asks and gives up, again and again, fills the memory."""
    gate, write = threading.Event(), way(pools)
    content = bytearray(1)
    # The names of callers may be as long as a message, and each call has its own.
    caller, same = ("".join(["a", "b"]) for _ in range(2))

    async def run() -> list[int]:
        at_work = [asyncio.ensure_future(pools.write(gate.wait)) for _ in range(pools.writers.number)]
        await asyncio.sleep(0)
        first = asyncio.ensure_future(write(bytearray(), same))
        given_up = asyncio.ensure_future(write(content, caller))
        await asyncio.sleep(0)
        given_up.cancel()
        await asyncio.wait([given_up])
        del given_up
        held = [sys.getrefcount(content), sys.getrefcount(caller)]
        gate.set()
        await asyncio.gather(*at_work, first)
        return held

    expected = [sys.getrefcount(content), sys.getrefcount(caller)]
    assert asyncio.run(run()) == expected
