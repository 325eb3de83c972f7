"""Load shedding: who waits for how long, and who is sent away."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

import pytest

from grpc_api.transport import shedding
from grpc_api.transport.rate_limited_log import RateLimitedLog
from grpc_api.transport.shedding import Budget, Load, Overloaded


async def settled() -> None:
    """Whatever can go on has gone on."""
    for _ in range(5):
        await asyncio.sleep(0)


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(scenario())  # type: ignore[arg-type]


def test_who_does_not_fit_waits_in_turn() -> None:
    async def scenario() -> None:
        budget, order = Budget(10, waiting=100), []

        async def caller(name: str, size: int) -> None:
            await budget.take(size)
            order.append(name)

        await budget.take(8)
        waiting = [asyncio.create_task(caller(name, size)) for name, size in (("large", 9), ("small", 1))]
        await settled()
        assert order == []  # the small one would fit, and would keep the large one waiting

        budget.give_back(8)
        await settled()
        assert order == ["large", "small"]
        await asyncio.gather(*waiting)

    run(scenario)


def test_who_finds_too_many_waiting_is_sent_away() -> None:
    async def scenario() -> None:
        budget = Budget(10, waiting=10)
        await budget.take(10)
        waiting = asyncio.create_task(budget.take(6))
        await settled()

        with pytest.raises(Overloaded):
            await budget.take(6)

        budget.give_back(10)
        await waiting

    run(scenario)


@pytest.mark.parametrize("given_back_first", [True, False])
def test_who_gives_up_while_waiting_takes_nothing(given_back_first: bool) -> None:
    async def scenario() -> None:
        budget = Budget(10, waiting=10)
        await budget.take(10)
        waiting = asyncio.create_task(budget.take(6))
        await settled()

        if given_back_first:
            budget.give_back(10)
        waiting.cancel()
        await settled()
        if not given_back_first:
            budget.give_back(10)

        await asyncio.wait_for(budget.take(10), 5)
        assert waiting.cancelled()

    run(scenario)


def test_more_calls_than_may_be_are_refused_until_others_end() -> None:
    async def scenario() -> None:
        load = Load(most_calls=2)

        with load.call():
            with load.call(), pytest.raises(Overloaded, match="the server has 2 calls to answer"):
                load.call()
            with load.call():
                assert load.calls == 2

        assert load.calls == 0

    run(scenario)


@pytest.mark.parametrize("has_message", [True, False])
def test_at_the_limit_the_oldest_call_without_a_message_ends_for_a_new_one(
    monkeypatch: pytest.MonkeyPatch, has_message: bool
) -> None:
    monkeypatch.setattr(shedding, "_STRANGER_SECONDS", 0.0)

    async def waits(load: Load) -> None:
        with load.call() as share:
            if has_message:
                share.has_message()
            await asyncio.Event().wait()

    async def scenario() -> None:
        load = Load(most_calls=2)
        first, second = (asyncio.create_task(waits(load)) for _ in range(2))
        await settled()

        if has_message:
            with pytest.raises(Overloaded):
                load.call()
        else:
            with load.call():
                await settled()
                assert load.calls == 2
                with pytest.raises(Overloaded, match="other calls to answer"):
                    await first

        assert not second.done()
        for task in (first, second):
            task.cancel()
        await asyncio.gather(first, second, return_exceptions=True)
        assert load.calls == 0 and not load.strange

    run(scenario)


def test_a_call_that_ends_gives_back_what_it_held() -> None:
    async def scenario() -> None:
        load = Load(most_calls=2)
        with load.call() as share:
            await share.hold_as_stranger(32 * 1024 * 1024)
            await share.hold_as_known(64 * 1024 * 1024)

        await asyncio.wait_for(load.strangers.take(32 * 1024 * 1024), 5)
        await asyncio.wait_for(load.known.take(64 * 1024 * 1024), 5)

    run(scenario)


def test_a_rate_limited_log_writes_a_few_lines_a_minute_and_counts_the_rest(caplog: pytest.LogCaptureFixture) -> None:
    now = [0.0]
    log = RateLimitedLog(logging.getLogger("rainbow.test"), most=2, clock=lambda: now[0])
    with caplog.at_level(logging.WARNING):
        for number in range(5):
            log.warning(f"line {number}")
        now[0] = 60.0
        log.warning("line 5")
        now[0] = 120.0
        log.warning("line 6")

    assert [record.getMessage() for record in caplog.records] == ["line 0", "line 1", "line 5 left_out=3", "line 6"]
