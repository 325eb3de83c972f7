"""The threads in which the database's work is done, and what they do when it fails."""

import asyncio
import threading
from collections.abc import Iterator

import pytest
from django.db import OperationalError

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
