"""Wake-ups of calls that wait for jobs of the same queue: a few at a time, in the order of their turns."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import ExitStack

from clusters.bounds import Bounds
from grpc_api.runtime.wakeups import NEXT_AFTER_SECONDS, WAKE_AT_MOST, WAKE_FIRST, Turn, Wakeups


def waiting(stack: ExitStack, wakeups: Wakeups, turns: list[Turn]) -> list[asyncio.Event]:
    subscribed = [
        wakeups.subscribe(turns={f"cluster-{number}": Turn(), "pool": turn}) for number, turn in enumerate(turns)
    ]
    return [stack.enter_context(one) for one in subscribed]


def run(work: Callable[[Wakeups, ExitStack], Awaitable[None]]) -> None:
    async def main() -> None:
        with ExitStack() as stack:
            await work(Wakeups(), stack)

    asyncio.run(main())


def awake(events: list[asyncio.Event]) -> list[int]:
    return [number for number, event in enumerate(events) if event.is_set()]


def test_a_job_wakes_four_calls_of_a_thousand_and_as_many_again_a_little_later() -> None:
    async def work(wakeups: Wakeups, stack: ExitStack) -> None:
        events = waiting(stack, wakeups, [Turn() for _ in range(1_000)])
        loop = asyncio.get_running_loop()
        began = loop.time()

        wakeups.wake(["pool"])

        parts = [len(awake(events))]
        while len(parts) < 7:
            await asyncio.sleep(0.001)
            if len(awake(events)) > sum(parts):
                parts.append(len(awake(events)) - sum(parts))
        assert parts == [WAKE_FIRST, 4, 8, 16, WAKE_AT_MOST, 32, 32]
        assert loop.time() - began >= 6 * NEXT_AFTER_SECONDS * 0.9

    run(work)


def test_those_wake_first_whose_turn_is_first_and_whom_the_job_fits() -> None:
    async def work(wakeups: Wakeups, stack: ExitStack) -> None:
        small, large = Bounds(max_nodes=1).admit, Bounds(max_nodes=16).admit
        turns = [Turn(after_seconds=60, fits=large), *[Turn(fits=small)] * 5, *[Turn(fits=large)] * 3]
        events = waiting(stack, wakeups, turns)

        wakeups.wake(["pool"], sizes={"nodes": 8})

        assert awake(events) == [0, 6, 7, 8]
        while len(awake(events)) < len(events):
            await asyncio.sleep(0.001)

    run(work)


def test_no_further_calls_are_woken_for_a_job_that_is_taken() -> None:
    async def main() -> None:
        asked, taken = list[str](), asyncio.Event()

        async def still_wait(queue: str) -> bool:
            asked.append(queue)
            return not taken.is_set()

        wakeups = Wakeups(still_wait)
        with ExitStack() as stack:
            events = waiting(stack, wakeups, [Turn() for _ in range(100)])
            wakeups.wake(["pool"])
            while len(awake(events)) < 2 * WAKE_FIRST:
                await asyncio.sleep(0.001)

            taken.set()
            number = len(asked)
            while len(asked) == number:
                await asyncio.sleep(0.001)
            await asyncio.sleep(0)
            woken = len(awake(events))
            assert woken <= 4 * WAKE_FIRST

            wakeups.wake(["pool"])
            assert len(awake(events)) == woken + WAKE_FIRST

    asyncio.run(main())


def test_jobs_wake_calls_also_after_a_failure_to_tell_whether_others_wait() -> None:
    async def main() -> None:
        asked = asyncio.Event()

        async def fails(queue: str) -> bool:
            asked.set()
            raise RuntimeError("cannot tell")

        wakeups = Wakeups(fails)
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
        with ExitStack() as stack:
            events = waiting(stack, wakeups, [Turn() for _ in range(9)])
            wakeups.wake(["pool"])
            await asked.wait()
            await asyncio.sleep(0)

            wakeups.wake(["pool"])

            assert len(awake(events)) == 2 * WAKE_FIRST

    asyncio.run(main())


def test_a_call_is_woken_by_jobs_of_its_cluster_and_of_its_pools() -> None:
    async def work(wakeups: Wakeups, stack: ExitStack) -> None:
        events = waiting(stack, wakeups, [Turn() for _ in range(3)])

        wakeups.wake(["cluster-1"])

        assert awake(events) == [1]
        wakeups.wake(["pool"])
        assert awake(events) == [0, 1, 2]

    run(work)


def test_news_of_a_job_that_is_taken_wakes_no_further_calls() -> None:
    async def main() -> None:
        asked = asyncio.Event()

        async def still_wait(queue: str) -> bool:
            asked.set()
            return False

        wakeups = Wakeups(still_wait)
        with ExitStack() as stack:
            events = waiting(stack, wakeups, [Turn() for _ in range(100)])
            wakeups.wake(["pool"], sizes={"nodes": 1})

            wakeups.wake(["pool"])

            await asked.wait()
            await asyncio.sleep(0)
            assert len(awake(events)) == WAKE_FIRST

    asyncio.run(main())


def test_jobs_that_come_all_the_time_wake_more_and_more_calls_while_they_wait() -> None:
    async def work(wakeups: Wakeups, stack: ExitStack) -> None:
        events = waiting(stack, wakeups, [Turn() for _ in range(500)])
        parts = [0]

        while len(parts) < 6:
            wakeups.wake(["pool"])
            if len(awake(events)) > sum(parts):
                parts.append(len(awake(events)) - sum(parts))
            await asyncio.sleep(0.001)

        assert parts == [0, WAKE_FIRST, 4, 8, 16, WAKE_AT_MOST]

    run(work)


def test_all_calls_of_a_cluster_are_woken_where_they_may_take_other_jobs() -> None:
    async def work(wakeups: Wakeups, stack: ExitStack) -> None:
        events = [stack.enter_context(wakeups.subscribe(turns={name: Turn()})) for name in 9 * ["alpha"] + ["beta"]]

        wakeups.wake_all_of(["alpha", "gamma"])

        assert awake(events) == list(range(9))

    run(work)


def test_few_calls_are_woken_by_each_job_at_once() -> None:
    async def work(wakeups: Wakeups, stack: ExitStack) -> None:
        for _ in range(3):
            with wakeups.subscribe(turns={"alpha": Turn()}) as event:
                wakeups.wake(["alpha"])
                assert event.is_set()

    run(work)


def test_calls_that_have_left_are_not_woken_and_leave_nothing_behind() -> None:
    async def work(wakeups: Wakeups, stack: ExitStack) -> None:
        with ExitStack() as gone:
            waiting(gone, wakeups, [Turn() for _ in range(9)])
            wakeups.wake(["pool"])
        assert not wakeups.has_subscribers
        (event,) = waiting(stack, wakeups, [Turn()])
        await asyncio.sleep(0)

        wakeups.wake(["pool"])

        while not event.is_set():
            await asyncio.sleep(0.001)

    run(work)
