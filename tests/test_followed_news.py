"""What a server does with news: a job wakes few of many calls, and what a cluster may take since wakes all of them."""

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import pytest

from grpc_api.runtime import notifications
from grpc_api.runtime.wakeups import WAKE_FIRST, Turn, Wakeups
from jobs.notify import Word
from jobs.queries.news import News

CALLS = 9
NONE: frozenset[int] = frozenset()


def waiting(stack: ExitStack, wakeups: Wakeups) -> list[asyncio.Event]:
    return [stack.enter_context(wakeups.subscribe(turns={"alpha": Turn()})) for _ in range(CALLS)]


@pytest.mark.parametrize(
    ("word", "woken"),
    [
        (Word(clusters=frozenset({"alpha"}), jobs=NONE), WAKE_FIRST),
        (Word(clusters=frozenset({"alpha"}), jobs=NONE, to_all=True), CALLS),
        (Word(clusters=None, jobs=NONE, to_all=True), CALLS),
        (Word(clusters=frozenset({"beta"}), jobs=NONE, to_all=True), 0),
    ],
)
def test_a_word_of_another_server(word: Word, woken: int) -> None:
    async def main() -> None:
        wakeups = Wakeups()
        with ExitStack() as stack:
            events = waiting(stack, wakeups)

            notifications._wake(wakeups, word)

            assert sum(event.is_set() for event in events) == woken

    asyncio.run(main())


class ThreadPools:
    """One whose news are these, once the file has changed."""

    def __init__(self, news: News) -> None:
        self.asked = 0
        self._news = news

    async def read(self, work: Callable[[], News]) -> News:
        self.asked += 1
        return self._news if self.asked > 1 else News(last=0)


@pytest.mark.parametrize(
    ("news", "woken"),
    [
        (News(last=1, clusters=frozenset({"alpha"})), WAKE_FIRST),
        (News(last=1, may_take_others=frozenset({"alpha"})), CALLS),
        (News(last=1, may_take_others=frozenset({"beta"})), 0),
    ],
)
def test_news_of_a_file_that_changed(tmp_path: Path, news: News, woken: int) -> None:
    async def main() -> None:
        async def none_wait(queue: str) -> bool:
            return False

        wakeups, pools = Wakeups(none_wait), ThreadPools(news)
        with ExitStack() as stack:
            file, other = [stack.enter_context(closing(sqlite3.connect(tmp_path / "file"))) for _ in range(2)]
            earlier = waiting(stack, wakeups)
            following = asyncio.create_task(notifications._poll_file(file, wakeups, pools))  # type: ignore[arg-type]
            # All are woken once, since they may have asked before it began.
            while not all(event.is_set() for event in earlier):
                await asyncio.sleep(0.001)
            events = waiting(stack, wakeups)

            other.execute("CREATE TABLE jobs (id)")
            while pools.asked < 2:
                await asyncio.sleep(0.001)
            await asyncio.sleep(0)

            assert sum(event.is_set() for event in events) == woken
            following.cancel()
            with suppress(asyncio.CancelledError):
                await following

    asyncio.run(main())
