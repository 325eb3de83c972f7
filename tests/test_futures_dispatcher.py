"""How the jobs of futures are submitted and followed, many and in trouble; without a cluster."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from rainbow.errors import LimitReached, RainbowError, Unavailable
from rainbow.futures.dispatcher import IDS_PER_CANCEL, MOST_AT_SERVER, Dispatcher
from rainbow.futures.future import JobFuture
from rainbow.futures.orders import Order
from rainbow.specs import JobSpec
from tests.support.futures_server import ManyJobs, NumberReader, answered, ordered
from tests.support.patience import PATIENCE_SECONDS, wait_until

# Of a connection's calls; the rest is for submissions and results.
MOST_STREAMS = 60


def test_ten_thousand_futures_take_one_thread_and_few_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rainbow.futures.dispatcher.LOOK_AGAIN_SECONDS", 0.01)
    server: Any = ManyJobs()
    dispatcher = Dispatcher(lambda: server)
    futures = [JobFuture[int](when_cancelled=lambda _: None) for _ in range(10_000)]

    for number, future in enumerate(futures):
        spec = JobSpec(command="true", idempotency_key=str(number))
        dispatcher.add(Order(future=future, spec=spec, reader=NumberReader()))
    results = [future.result(PATIENCE_SECONDS) for future in futures]
    dispatcher.close()
    dispatcher.join()

    assert results == list(range(1, 10_001))
    assert server.most_streams <= MOST_STREAMS
    assert server.most_waiting <= MOST_AT_SERVER


def test_a_thread_that_ends_takes_its_futures_with_it() -> None:
    def connect() -> Any:
        raise OSError("no such thing")

    dispatcher = Dispatcher(connect)
    future = JobFuture[int](when_cancelled=lambda _: None)
    dispatcher.add(Order(future=future, spec=JobSpec(command="true"), reader=NumberReader()))

    with pytest.raises(OSError, match="no such thing"):
        future.result(PATIENCE_SECONDS)
    with pytest.raises(RuntimeError, match="has ended"):
        dispatcher.add(Order(future=future, spec=JobSpec(command="true"), reader=NumberReader()))


class Refusing(ManyJobs):
    """Submitting the first job there fails as it never should."""

    def __init__(self, failure: BaseException) -> None:
        super().__init__()
        self.failure = failure

    async def submit_jobs(self, specs: Sequence[JobSpec], *, group: Any) -> Any:
        if not self.submitted:
            self.submitted = 1
            raise self.failure
        return await super().submit_jobs(specs, group=group)


def test_what_fails_as_it_is_submitted_fails_alone() -> None:
    server: Any = Refusing(RuntimeError("the signer's key is gone"))
    dispatcher = Dispatcher(lambda: server)
    first, second = (JobFuture[int](when_cancelled=lambda _: None) for _ in range(2))

    dispatcher.add(Order(future=first, spec=JobSpec(command="true"), reader=NumberReader(), group="one"))
    with pytest.raises(RuntimeError, match="key is gone"):
        first.result(PATIENCE_SECONDS)
    server.failures = 0
    dispatcher.add(Order(future=second, spec=JobSpec(command="true"), reader=NumberReader()))

    assert second.result(PATIENCE_SECONDS) == 2
    dispatcher.close()
    dispatcher.join()


def test_a_thread_that_ends_takes_with_it_what_it_submits() -> None:
    server: Any = Refusing(SystemExit(1))
    dispatcher = Dispatcher(lambda: server)
    future = JobFuture[int](when_cancelled=lambda _: None)
    dispatcher.add(Order(future=future, spec=JobSpec(command="true"), reader=NumberReader()))

    with pytest.raises(SystemExit):
        future.result(PATIENCE_SECONDS)


@contextmanager
def at(server: Any) -> Iterator[Dispatcher]:
    dispatcher = Dispatcher(lambda: server)
    yield dispatcher
    dispatcher.close(cancel=True)
    dispatcher.join()


class Room(ManyJobs):
    """Takes one job of each call, or none; a limit refuses the others for now."""

    def __init__(self, *, takes: int = 1) -> None:
        super().__init__()
        self.failures = 0
        self.takes = takes
        self.groups = list[Any]()
        self.keys = list[str]()
        self.is_open = threading.Event()

    async def submit_jobs(self, specs: Sequence[JobSpec], *, group: Any) -> Any:
        while not self.is_open.is_set():
            await asyncio.sleep(0.001)
        self.groups.append(group)
        refusal = LimitReached("alice has 1 of the 1 waiting jobs that it may", retry_after_seconds=3_000)
        outcomes: list[int | RainbowError] = [refusal] * len(specs)
        if specs[0].idempotency_key in self.keys:
            outcomes[0] = self.keys.index(specs[0].idempotency_key) + 1
        elif self.takes:
            self.keys.append(specs[0].idempotency_key)
            outcomes[0] = len(self.keys)
        return answered(outcomes)


def test_what_a_limit_refuses_for_now_is_submitted_later(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("rainbow.futures.room.SOONER_SECONDS", 0.01)
    server = Room()
    with at(server) as dispatcher:
        futures = [ordered(dispatcher, key=f"job {number}") for number in range(4)]
        server.is_open.set()
        assert [future.result(PATIENCE_SECONDS) for future in futures] == [1, 2, 3, 4]

    assert server.keys == [f"job {number}" for number in range(4)]
    assert [record.getMessage() for record in caplog.records if "1 waiting" in record.getMessage()] != []


def test_a_call_that_a_limit_refuses_is_made_again() -> None:
    class Busy(ManyJobs):
        refusals = 2

        async def submit_jobs(self, specs: Sequence[JobSpec], *, group: Any) -> Any:
            if self.refusals:
                self.refusals -= 1
                raise LimitReached("1,000 of your groups are not finished", retry_after_seconds=1)
            return await super().submit_jobs(specs, group=group)

    server = Busy()
    server.failures = 0
    with at(server) as dispatcher:
        assert ordered(dispatcher, key="one").result(PATIENCE_SECONDS) == 1
    assert server.refusals == 0


def test_a_group_is_closed_once_its_last_member_is_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rainbow.futures.room.SOONER_SECONDS", 0.01)
    server = Room()
    with at(server) as dispatcher:
        futures = [ordered(dispatcher, key=str(number), group="sweep", is_last=number == 2) for number in range(3)]
        server.is_open.set()
        assert [future.result(PATIENCE_SECONDS) for future in futures] == [1, 2, 3]
    assert [group.more for group in server.groups] == [*[True] * (len(server.groups) - 1), False]
    assert {group.idempotency_key for group in server.groups} == {"sweep"}


def test_a_shutdown_does_not_wait_for_room() -> None:
    server = Room(takes=0)
    with at(server) as dispatcher:
        waiting = [ordered(dispatcher, key=str(number)) for number in range(3)]
        server.is_open.set()
        wait_until(lambda: len(server.groups) > 0)
    assert all(future.cancelled() for future in waiting)


def test_files_are_put_again_while_the_server_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    class Away(ManyJobs):
        puts = list[tuple[Any, str]]()

        async def put_inputs(self, contents: Any, *, project: str = "") -> tuple[str, ...]:
            self.puts.append((contents, project))
            if len(self.puts) < 3:
                raise Unavailable("away for a moment")
            return tuple("0" * 64 for _ in contents)

    monkeypatch.setattr("rainbow.futures.submissions.LOOK_AGAIN_SECONDS", 0.01)
    server = Away()
    server.failures = 0
    with at(server) as dispatcher:
        future = ordered(dispatcher, key="one", files={"arguments.pickle": b"large"})
        assert future.result(PATIENCE_SECONDS) == 1
    assert server.puts == [([b"large"], "")] * 3


class OneJob(ManyJobs):
    """Answers one id whatever is submitted; its job runs until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.failures = 0
        self.cancelled = list[int]()
        self.let_go = threading.Event()
        self.may_cancel = threading.Event()
        self.may_cancel.set()

    async def submit_jobs(self, specs: Sequence[JobSpec], *, group: Any) -> Any:
        self.submitted += len(specs)
        return answered(7 for _ in specs)

    async def watch_jobs(self, jobids: Sequence[int]) -> AsyncIterator[Any]:
        while not self.let_go.is_set():
            await asyncio.sleep(0.01)
        async for job in super().watch_jobs(jobids):
            yield job

    async def cancel_jobs(self, jobids: Sequence[int], *, reason: str) -> None:
        while not self.may_cancel.is_set():
            await asyncio.sleep(0.001)
        self.cancelled.extend(jobids)


def test_two_futures_may_have_one_job() -> None:
    server = OneJob()
    with at(server) as dispatcher:
        futures = [ordered(dispatcher, key=str(number)) for number in range(3)]
        wait_until(lambda: server.submitted == 3)
        futures[0].cancel()
        server.let_go.set()

        assert [future.result(PATIENCE_SECONDS) for future in futures[1:]] == [7, 7]
    assert futures[0].cancelled()
    # It is still the job of the others.
    assert server.cancelled == []


def test_a_shared_job_is_cancelled_with_the_last_of_its_futures() -> None:
    server = OneJob()
    with at(server) as dispatcher:
        futures = [ordered(dispatcher, key=str(number)) for number in range(2)]
        wait_until(lambda: server.submitted == 2)
        for future in futures:
            future.cancel()
        wait_until(lambda: server.cancelled == [7])


def test_thousands_are_cancelled_at_once() -> None:
    server = OneJob()
    server.submit_jobs = ManyJobs.submit_jobs.__get__(server)  # type: ignore[method-assign]
    count = 2 * IDS_PER_CANCEL + 1
    with at(server) as dispatcher:
        futures = [ordered(dispatcher, key=str(number)) for number in range(count)]
        wait_until(lambda: server.submitted == count)
        server.may_cancel.clear()
        for future in futures:
            future.cancel()
        server.may_cancel.set()
    assert sorted(server.cancelled) == list(range(1, count + 1))


def test_a_forked_process_has_no_use_of_the_executor() -> None:
    server = OneJob()
    with at(server) as dispatcher:
        future = ordered(dispatcher, key="one")
        child = os.fork()
        if not child:
            # Whatever happens there, the tests do not go on in it.
            try:
                future.cancel()
                dispatcher.close(cancel=True)
                dispatcher.join()
                ordered(dispatcher, key="two")
            except RuntimeError as error:
                os._exit(0 if "forked" in str(error) else 1)
            finally:
                os._exit(2)
        _, status = os.waitpid(child, 0)
        server.let_go.set()

        assert os.waitstatus_to_exitcode(status) == 0
        assert future.result(PATIENCE_SECONDS) == 7
