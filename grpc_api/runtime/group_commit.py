"""Group commit: calls that arrive while a transaction is being written share the next one.

No timer and no tuning: a lone call runs at once, and under load the batches grow by themselves.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
Work = Callable[[list[Item]], Awaitable[list[Result | Exception]]]

# Jobs in one transaction: some tenths of a second's work, for which all other writers may have to wait.
HEAVIEST = 2_000


class Together(Generic[Item, Result]):
    """Does single calls in batches of up to `most` (1 switches it off), one batch after the other.

    A batch holds no more jobs than HEAVIEST either, as `jobs_of` counts them, unless a single call does.
    `work` gives each item its result or its own failure, in their order. When `work` itself raises, the whole
    batch failed and each of its calls is told so.
    """

    def __init__(self, work: Work[Item, Result], *, most: int, jobs_of: Callable[[Item], int] = lambda item: 1) -> None:
        self._work = work
        self._most = most
        self._jobs_of = jobs_of
        self._waiting: deque[tuple[Item, asyncio.Future[Result]]] = deque()
        self._running: asyncio.Task[None] | None = None

    async def __call__(self, item: Item) -> Result:
        """The item's result, once its batch is done. Raises the item's failure."""
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        return await future

    async def _run(self) -> None:
        while self._waiting:
            batch = self._next_batch()
            try:
                results = await self._work([item for item, _ in batch])
            except Exception as error:
                results = [error] * len(batch)
            for (_, future), result in zip(batch, results, strict=True):
                _settle(future, result)
        self._running = None

    def _next_batch(self) -> list[tuple[Item, "asyncio.Future[Result]"]]:
        batch = [self._waiting.popleft()]
        jobs = self._jobs_of(batch[0][0])
        while self._waiting and len(batch) < self._most:
            jobs += self._jobs_of(self._waiting[0][0])
            if jobs > HEAVIEST:
                break
            batch.append(self._waiting.popleft())
        return batch


def _settle(future: "asyncio.Future[Result]", result: Result | Exception) -> None:
    # A caller that gave up cancelled its future; its job is stored all the same.
    if future.done():
        return
    if isinstance(result, Exception):
        future.set_exception(result)
    else:
        future.set_result(result)
