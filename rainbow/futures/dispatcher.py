"""Submits the jobs of futures, watches them, and reads their results: all in one thread, over one connection."""

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import CancelledError
from dataclasses import replace

from rainbow.aio.client import AsyncClient
from rainbow.errors import DeadlineExceeded, FailedPrecondition, RainbowError, ResourceExhausted, Unavailable
from rainbow.futures.orders import Order
from rainbow.futures.watches import Watches
from rainbow.records import FINAL_STATES, GroupWish, Job, SubmitResult
from rainbow.specs import JobSpec
from rainbow.states import JobState
from rainbow.telemetry.failures import named
from rainbow.telemetry.lines import Line

JOBS_PER_CALL = 200
# Servers take messages of 4 MiB; beside what is counted a job has little.
BYTES_PER_CALL = 2 * 1024 * 1024
# Later ones wait here, so that the connection, which carries a hundred calls, has enough for the streams.
MOST_AT_SERVER = 20_000
# A server lets a credential read 32 outputs at a time.
MOST_READ = 8
# How long the site of a job that is over may be away before its result is given up.
RESULT_WITHIN_SECONDS = 300.0
SUBMITTED_WITHIN_SECONDS = 300.0
LOOK_AGAIN_SECONDS = 2.0
IDS_PER_CANCEL = 1_000

# In the place of a job that was submitted.
SUBMITTED = JobSpec(command="true")

_log = logging.getLogger("rainbow.futures")


class Dispatcher:
    """`connect` is called in the thread, which runs from the first order until `close`, and all orders are over."""

    def __init__(self, connect: Callable[[], AsyncClient]) -> None:
        self._connect = connect
        self._turn = threading.Lock()
        self._waiting: deque[Order] = deque()
        self._cancelled: deque[Order] = deque()
        self._closing = False
        self._failure: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._changed = asyncio.Event()
        self._submitting: Sequence[Order] = ()
        self._jobs: dict[int, Order] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread: threading.Thread | None = None

    def add(self, order: Order) -> None:
        """Raises RuntimeError once it is closed."""
        with self._turn:
            if self._closing:
                raise RuntimeError("cannot schedule new futures after shutdown")
            if self._failure:
                raise RuntimeError(f"the thread of this executor has ended: {self._failure}")
            self._waiting.append(order)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="rainbow-futures", daemon=True)
                self._thread.start()
        self._wake()

    def cancel(self, order: Order) -> None:
        """Its future is cancelled; have the job stopped."""
        self._cancelled.append(order)
        self._wake()

    def close(self, *, cancel: bool = False) -> None:
        """`cancel` also cancels what has not started."""
        with self._turn:
            self._closing = True
            left = [*self._waiting, *self._jobs.copy().values(), *self._submitting] if cancel else []
        for order in left:
            if not order.future.running():
                order.future.cancel()
        self._wake()

    def join(self) -> None:
        if self._thread and self._thread is not threading.current_thread():
            self._thread.join()

    def _wake(self) -> None:
        with self._turn:
            loop = self._loop
        if loop:
            try:
                loop.call_soon_threadsafe(self._changed.set)
            except RuntimeError:  # it ended meanwhile
                return

    # What follows runs in the thread.

    def _run(self) -> None:
        try:
            asyncio.run(self._work())
        # Whatever it is: nobody else tells those who wait for the futures.
        except BaseException as error:
            _log.error(Line("the thread of an executor ended", error=named(error)), exc_info=error)
            self._give_up(error)

    def _give_up(self, error: BaseException) -> None:
        with self._turn:
            self._failure = error
            left = [*self._submitting, *self._waiting, *self._jobs.values()]
            self._waiting.clear()
        for order in left:
            _finish(order, error=error)
        while self._cancelled:
            _finish(self._cancelled.popleft())

    async def _work(self) -> None:
        self._changed = asyncio.Event()
        with self._turn:
            self._loop = asyncio.get_running_loop()
        async with self._connect() as client:
            self._reads = asyncio.Semaphore(MOST_READ)
            self._watches = Watches(client, seen=lambda job: self._seen(client, job), failed=self._lost)
            while not self._is_done():
                self._changed.clear()
                await self._cancel_jobs(client)
                if batch := self._next_batch():
                    await self._submit(client, batch)
                elif not self._is_done():
                    await self._changed.wait()
            with self._turn:
                self._loop = None

    def _is_done(self) -> bool:
        with self._turn:
            return self._closing and not (self._waiting or self._cancelled or self._jobs or self._tasks)

    def _next_batch(self) -> list[Order]:
        """Orders of one group, as many as go into one call."""
        batch, size = list[Order](), 0
        while self._waiting and len(batch) < JOBS_PER_CALL and len(self._jobs) + len(batch) < MOST_AT_SERVER:
            order = self._waiting[0]
            size += _size_of(order)
            if batch and (order.group != batch[0].group or size > BYTES_PER_CALL):
                break
            batch.append(self._waiting.popleft())
        return batch

    async def _submit(self, client: AsyncClient, batch: Sequence[Order]) -> None:
        orders = [order for order in batch if (order.is_last and order.group) or not order.future.cancelled()]
        try:
            self._submitting = orders
            results = await self._submitted(client, orders) if orders else ()
            submitted = list(zip(orders, results, strict=True))
        # Whatever it is, a signer's failure among it: it is of these orders alone.
        except Exception as error:
            for order in orders:
                _finish(order, error=error)
            return
        for order, result in submitted:
            if result.error:
                _finish(order, error=result.error)
            else:
                order.future.jobid = result.jobid
                self._jobs[result.jobid] = order
                # They are at the server, and nothing here keeps them.
                order.files, order.spec = {}, SUBMITTED
                if order.future.cancelled():
                    self._cancelled.append(order)
        self._watches.add([result.jobid for result in results if result.jobid in self._jobs])

    async def _submitted(self, client: AsyncClient, orders: Sequence[Order]) -> Sequence[SubmitResult]:
        contents = dict.fromkeys(content for order in orders for content in order.files.values())
        digests = dict(zip(contents, await client.put_inputs(contents), strict=True))
        named = [{name: digests[content] for name, content in order.files.items()} for order in orders]
        specs = [
            replace(order.spec, inputs={**order.spec.inputs, **files})
            for order, files in zip(orders, named, strict=True)
        ]
        group = None
        if key := orders[0].group:
            group = GroupWish(name=orders[0].group_name, idempotency_key=key, more=not orders[-1].is_last)
        until = asyncio.get_running_loop().time() + SUBMITTED_WITHIN_SECONDS
        while True:
            try:
                return (await client.submit_jobs(specs, group=group)).results
            # Each has its idempotency key: what is queued already is not queued again.
            except (DeadlineExceeded, Unavailable):
                if asyncio.get_running_loop().time() > until:
                    raise
            await asyncio.sleep(LOOK_AGAIN_SECONDS)

    def _seen(self, client: AsyncClient, job: Job) -> None:
        order = self._jobs.get(job.id)
        if order is None:
            return
        order.future.is_started = job.state == JobState.RUNNING
        if job.state in FINAL_STATES:
            del self._jobs[job.id]
            task = asyncio.create_task(self._resolve(client, order, job))
            self._tasks.add(task)
            task.add_done_callback(self._resolved)

    def _resolved(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._changed.set()

    def _lost(self, jobids: Collection[int], error: RainbowError) -> None:
        for jobid in jobids:
            if order := self._jobs.pop(jobid, None):
                _finish(order, error=error)
        self._changed.set()

    async def _resolve(self, client: AsyncClient, order: Order, job: Job) -> None:
        if job.state == JobState.CANCELLED:
            _finish(order, error=CancelledError())
            return
        try:
            value = await self._read(client, order, job)
        except BaseException as error:
            _finish(order, error=error)
            if isinstance(error, asyncio.CancelledError):
                raise
        else:
            _finish(order, value=value)

    async def _read(self, client: AsyncClient, order: Order, job: Job) -> object:
        """A site that is away, or that reads too much for others, is asked again for five minutes."""
        until = asyncio.get_running_loop().time() + RESULT_WITHIN_SECONDS
        while True:
            if order.future.cancelled():
                return None
            try:
                # Others read while this one waits for a site that is away.
                async with self._reads:
                    return await order.reader.read(client, job)
            except (FailedPrecondition, ResourceExhausted, Unavailable):
                if asyncio.get_running_loop().time() > until:
                    raise
            await asyncio.sleep(LOOK_AGAIN_SECONDS)

    async def _cancel_jobs(self, client: AsyncClient) -> None:
        jobids = list[int]()
        while self._cancelled and len(jobids) < IDS_PER_CANCEL:
            order = self._cancelled.popleft()
            _finish(order)
            if self._jobs.pop(order.future.jobid, None):
                jobids.append(order.future.jobid)
                self._watches.forget(order.future.jobid)
        if not jobids:
            return
        try:
            await client.cancel_jobs(jobids, reason="its future was cancelled")
        except RainbowError as error:
            _log.warning(Line("jobs of cancelled futures may go on", jobs=len(jobids), error=error))


def _size_of(order: Order) -> int:
    variables = sum(len(name) + len(value) for name, value in order.spec.environment.items())
    return len(order.spec.command) + variables + 1_000


def _finish(order: Order, *, value: object = None, error: BaseException | None = None) -> None:
    """Once: what comes later counts no more."""
    if order.is_over:
        return
    order.is_over = True
    if isinstance(error, CancelledError):
        order.future.cancel()
    if not order.future.set_running_or_notify_cancel():
        return
    if error is not None:
        order.future.set_exception(error)
    else:
        order.future.set_result(value)
