"""Group commit: calls that arrive while a transaction is being written share the next one.

No timer and no tuning: a lone call runs at once, and under load the batches grow by themselves.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

from grpc_api.runtime.fairness import FairQueue
from grpc_api.runtime.metrics import BATCH_SIZE, BATCH_WAIT
from grpc_api.runtime.worker_threads import WorkerThreads, WorkItem, settle

Item = TypeVar("Item")
Result = TypeVar("Result")
# Gives the work for a thread, when the thread is free.
Work = Callable[[list[Item]], Callable[[], Sequence[Result | Exception]]]

# Jobs in one transaction: some hundredths of a second, in which all other writers may have to wait. Larger batches save
# little: nearly all of their time is that of their jobs.
MAX_JOBS_PER_BATCH = 100
# What a job is taken to need until the batch is done.
_JOB_SECONDS = 0.0001
# Callers that used so much more of a thread's time than the first of a batch are not in it, so that it is over sooner.
_MUCH_MORE = 0.2


# Not frozen: one is made for each call, and that would take three times as long.
@dataclass(slots=True, kw_only=True)
class _Waiting(Generic[Item, Result]):
    item: Item
    caller: str
    jobs: int
    future: "asyncio.Future[Result]"
    since: float


class GroupCommit(Generic[Item, Result]):
    """Does single calls in batches of up to `most` (1 switches it off), `at_once` batches at a time.

    A batch is made when a thread is free for it. It holds at most `most_jobs` jobs, as `jobs_of` counts them, unless a
    single call has more. Callers, by `caller_of`, take turns: one with many calls does not delay another's by more than
    a batch, of whatever kind. `verb` names the calls in metrics. `work` gives each item its result or its own failure,
    in their order. When it raises, each call of the batch raises the same.
    """

    def __init__(
        self,
        threads: WorkerThreads,
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
        self._threads = threads
        self._work = work
        self._most = most
        self.at_once = at_once
        self._most_jobs = most_jobs
        self._jobs_of = jobs_of
        self._caller_of = caller_of
        self._waiting = FairQueue[_Waiting[Item, Result]](threads.usage, is_given_up=lambda call: call.future.done())
        threads.add_lane(self)

    def __len__(self) -> int:
        return len(self._waiting)

    async def __call__(self, item: Item) -> Result:
        """The item's result, once its batch is done. Raises the item's failure."""
        self._threads.expect_database()
        loop, caller = asyncio.get_running_loop(), self._caller_of(item)
        call = _Waiting[Item, Result](
            item=item, caller=caller, jobs=self._jobs_of(item), future=loop.create_future(), since=loop.time()
        )
        self._waiting.add(caller, call)
        self._threads.begin_soon()
        try:
            return await call.future
        except asyncio.CancelledError:
            # As in WorkerThreads.do.
            del call.item, call.caller
            raise

    def due(self) -> float | None:
        return self._waiting.due()

    def begin(self) -> WorkItem | None:
        batch = self._next_batch()
        if not batch:
            return None
        self._sizes.observe(len(batch))
        self._waits.observe(asyncio.get_running_loop().time() - min(call.since for call in batch))
        callers: dict[str, float] = {}
        for call in batch:
            callers[call.caller] = callers.get(call.caller, 0.0) + max(1, call.jobs) * _JOB_SECONDS
        return WorkItem(
            self._work([call.item for call in batch]),
            callers=callers,
            settle=partial(self._settle, batch),
        )

    def give_up(self, error: Exception) -> None:
        for call in self._waiting.take_all():
            settle(call.future, error)

    def _next_batch(self) -> list["_Waiting[Item, Result]"]:
        # A share of what waits, so that batches under way at once are about as long.
        most = min(self._most, -(-len(self._waiting) // self.at_once))
        first = self._waiting.first()
        share = self._threads.usage.share
        most_used = share(first.caller) + _MUCH_MORE if first else 0.0
        batch: list[_Waiting[Item, Result]] = []
        jobs = 0
        while len(batch) < most and (call := self._waiting.first()):
            jobs += call.jobs
            if batch and (jobs > self._most_jobs or share(call.caller) > most_used):
                break
            batch.append(call)
            self._waiting.next()
        return batch

    def _settle(self, batch: list["_Waiting[Item, Result]"], outcome: Any) -> None:
        """One result for each call: a bug in one batch must not stop those behind it."""
        if isinstance(outcome, BaseException):
            results: Sequence[Any] = [outcome] * len(batch)
        elif len(outcome) != len(batch):
            results = [RuntimeError(f"{len(outcome)} results for {len(batch)} calls")] * len(batch)
        else:
            results = outcome
        for call, result in zip(batch, results, strict=True):
            settle(call.future, result)
