"""Group commit: calls that arrive while a transaction is being written share the next one.

No timer and no tuning: a lone call runs at once, and under load the batches grow by themselves.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from grpc_api.runtime.fairness import FairQueue
from grpc_api.runtime.metrics import BATCH_SIZE, BATCH_WAIT

Item = TypeVar("Item")
Result = TypeVar("Result")
Work = Callable[[list[Item]], Awaitable[list[Result | Exception]]]

# Jobs in one transaction: some hundredths of a second, in which all other writers may have to wait. Larger batches save
# little: nearly all of their time is that of their jobs.
MAX_JOBS_PER_BATCH = 100


# Not frozen: one is made for each call, and that would take three times as long.
@dataclass(slots=True, kw_only=True)
class _Waiting(Generic[Item, Result]):
    item: Item
    jobs: int
    future: "asyncio.Future[Result]"
    since: float


class GroupCommit(Generic[Item, Result]):
    """Does single calls in batches of up to `most` (1 switches it off), `at_once` batches at a time.

    A batch holds at most `most_jobs` jobs, as `jobs_of` counts them, unless a single call has more. Callers, by
    `caller_of`, take turns: one with many calls does not delay another's by more than a batch.
    `verb` names the calls in metrics. `work` gives each item its result or its own failure, in their order. When `work`
    itself raises, each call of the batch raises the same.
    """

    def __init__(
        self,
        work: Work[Item, Result],
        *,
        verb: str,
        most: int,
        at_once: int = 1,
        most_jobs: int = MAX_JOBS_PER_BATCH,
        jobs_of: Callable[[Item], int] = lambda item: 1,
        caller_of: Callable[[Item], str] = lambda item: "",
    ) -> None:
        self._sizes, self._waits = BATCH_SIZE.labels(verb), BATCH_WAIT.labels(verb)
        self._work = work
        self._most = most
        self._at_once = at_once
        self._most_jobs = most_jobs
        self._jobs_of = jobs_of
        self._caller_of = caller_of
        self._waiting = FairQueue[_Waiting[Item, Result]]()
        self._running: set[asyncio.Task[None]] = set()

    async def __call__(self, item: Item) -> Result:
        """The item's result, once its batch is done. Raises the item's failure."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()
        waiting = _Waiting(item=item, jobs=self._jobs_of(item), future=future, since=loop.time())
        self._waiting.add(self._caller_of(item), waiting)
        if len(self._running) < self._at_once:
            self._running.add(asyncio.create_task(self._run()))
        return await future

    async def _run(self) -> None:
        while len(self._waiting):
            batch = self._next_batch()
            self._sizes.observe(len(batch))
            self._waits.observe(asyncio.get_running_loop().time() - min(call.since for call in batch))
            results = await self._results([call.item for call in batch])
            for call, result in zip(batch, results, strict=True):
                _settle(call.future, result)
        self._running -= {asyncio.current_task()}

    async def _results(self, items: list[Item]) -> Sequence[Result | Exception]:
        """One result for each item: a bug in one batch must not stop those behind it."""
        try:
            results = await self._work(items)
        except Exception as error:
            return [error] * len(items)
        if len(results) != len(items):
            return [RuntimeError(f"{len(results)} results for {len(items)} calls")] * len(items)
        return results

    def _next_batch(self) -> list["_Waiting[Item, Result]"]:
        # A share of what waits, so that batches under way at once are about as long.
        most = min(self._most, -(-len(self._waiting) // self._at_once))
        batch: list[_Waiting[Item, Result]] = []
        jobs = 0
        while len(batch) < most and (call := self._waiting.first()):
            jobs += call.jobs
            if batch and jobs > self._most_jobs:
                break
            batch.append(call)
            self._waiting.next()
        return batch


def _settle(future: "asyncio.Future[Result]", result: Result | Exception) -> None:
    # A call that was cancelled has cancelled its future; its job is stored all the same.
    if future.done():
        return
    if isinstance(result, Exception):
        future.set_exception(result)
    else:
        future.set_result(result)
