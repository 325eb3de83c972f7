"""Submits the jobs of futures, watches them, and reads their results: all in one thread, over one connection."""

import asyncio
import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import CancelledError

from rainbow.aio.client import AsyncClient
from rainbow.errors import FailedPrecondition, LimitReached, RainbowError, ResourceExhausted, Unavailable
from rainbow.futures.orders import Order
from rainbow.futures.outcomes import Outcome
from rainbow.futures.room import Room
from rainbow.futures.submissions import next_batch, refused_for_now, submitted
from rainbow.futures.watches import Watches
from rainbow.records import FINAL_STATES, Job
from rainbow.specs import JobSpec
from rainbow.states import JobState
from rainbow.telemetry.failures import named
from rainbow.telemetry.lines import Line

# Later ones wait here, so that the connection, which carries a hundred calls, has enough for the streams.
MOST_AT_SERVER = 20_000
# A server lets a credential read 32 outputs at a time.
MOST_READ = 8
# How long the site of a job that is over may be away before its result is given up.
RESULT_WITHIN_SECONDS = 300.0
LOOK_AGAIN_SECONDS = 2.0
IDS_PER_CANCEL = 1_000

# In the place of a job that was submitted.
SUBMITTED = JobSpec(command="true")

_log = logging.getLogger("rainbow.futures")


class Dispatcher:
    """`connect` is called in the thread, which runs from the first order until `close`, and all orders are over."""

    def __init__(self, connect: Callable[[], AsyncClient]) -> None:
        self._connect = connect
        self._process = os.getpid()
        self._turn = threading.Lock()
        self._waiting: deque[Order] = deque()
        self._cancelled: deque[Order] = deque()
        self._closing = False
        self._failure: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._changed = asyncio.Event()
        self._submitting: Sequence[Order] = ()
        # Several have one job where they name one idempotency key.
        self._jobs: dict[int, list[Order]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread: threading.Thread | None = None

    def add(self, order: Order) -> None:
        """Raises RuntimeError once it is closed, and in a forked process, which has not its thread."""
        if not self._is_ours():
            raise RuntimeError("this executor is another process's: a forked one makes its own")
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
        if self._is_ours():
            self._cancelled.append(order)
            self._wake()

    def close(self, *, cancel: bool = False) -> None:
        """`cancel` also cancels what has not started."""
        if not self._is_ours():
            return
        with self._turn:
            self._closing = True
            left = self._left() if cancel else []
        for order in left:
            if not order.future.running():
                order.future.cancel()
        self._wake()

    def join(self) -> None:
        if self._is_ours() and self._thread and self._thread is not threading.current_thread():
            self._thread.join()

    def _is_ours(self) -> bool:
        """A lock that a forked process has may be held by a thread that it has not."""
        return os.getpid() == self._process

    def _left(self) -> list[Order]:
        at_server = [order for orders in self._jobs.copy().values() for order in orders.copy()]
        return [*self._submitting, *self._waiting, *at_server]

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
            left = self._left()
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
            self._room = Room(self._changed.set)
            self._watches = Watches(client, seen=lambda job: self._seen(client, job), failed=self._lost)
            while not self._is_done():
                self._changed.clear()
                await self._cancel_jobs(client)
                if batch := self._next_batch():
                    await self._submit(client, batch)
                elif not (self._cancelled or self._is_done()):
                    await self._changed.wait()
            with self._turn:
                self._loop = None

    def _is_done(self) -> bool:
        with self._turn:
            return self._closing and not (self._waiting or self._cancelled or self._jobs or self._tasks)

    def _next_batch(self) -> list[Order]:
        room = MOST_AT_SERVER - len(self._jobs) if self._room.is_there() else 0
        return next_batch(self._waiting, most=room)

    async def _submit(self, client: AsyncClient, batch: Sequence[Order]) -> None:
        orders = [order for order in batch if (order.is_last and order.group) or not order.future.cancelled()]
        if not orders:
            return
        try:
            self._submitting = orders
            answer = await submitted(client, orders)
            pairs = list(zip(orders, answer.results, strict=True))
        except LimitReached as error:
            self._put_back(orders, error)
            return
        # Whatever it is, a signer's failure among it: it is of these orders alone.
        except Exception as error:
            for order in orders:
                _finish(order, error=error)
            return
        self._room.tell(answer.warning)
        for order, result in pairs:
            if result.error is None:
                self._note(order, result.jobid)
            elif not isinstance(result.error, LimitReached):
                _finish(order, error=result.error)
        self._watches.add({result.jobid for result in answer.results if result.jobid in self._jobs})
        if refusal := refused_for_now(answer):
            self._put_back([order for order, result in pairs if isinstance(result.error, LimitReached)], refusal)

    def _note(self, order: Order, jobid: int) -> None:
        order.future.jobid = jobid
        self._jobs.setdefault(jobid, []).append(order)
        # They are at the server, and nothing here keeps them.
        order.files, order.spec = {}, SUBMITTED
        if order.future.cancelled():
            self._cancelled.append(order)

    def _put_back(self, orders: Sequence[Order], error: LimitReached) -> None:
        """They are submitted again, before the others, once there may be room."""
        with self._turn:
            self._waiting.extendleft(order for order in reversed(orders) if not order.future.cancelled())
        self._room.note_refusal(error)

    def _seen(self, client: AsyncClient, job: Job) -> None:
        orders = self._jobs.get(job.id, [])
        for order in orders:
            order.future.is_started = job.state == JobState.RUNNING
        if orders and job.state != JobState.QUEUED:
            self._room.note_leaving()
        if job.state not in FINAL_STATES:
            return
        for order in self._jobs.pop(job.id, []):
            task = asyncio.create_task(self._resolve(client, order, job))
            self._tasks.add(task)
            task.add_done_callback(self._resolved)

    def _resolved(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._changed.set()

    def _lost(self, jobids: Collection[int], error: RainbowError) -> None:
        for jobid in jobids:
            for order in self._jobs.pop(jobid, []):
                _finish(order, error=error)
        self._changed.set()

    async def _resolve(self, client: AsyncClient, order: Order, job: Job) -> None:
        if job.state == JobState.CANCELLED:
            _finish(order, error=CancelledError())
            return
        try:
            outcome = await self._read(client, order, job)
        except BaseException as error:
            _finish(order, error=error)
            if isinstance(error, asyncio.CancelledError):
                raise
        else:
            _finish(order, value=outcome.value, error=outcome.error)

    async def _read(self, client: AsyncClient, order: Order, job: Job) -> Outcome:
        """A site that is away, or that reads too much for others, is asked again for five minutes."""
        until = asyncio.get_running_loop().time() + RESULT_WITHIN_SECONDS
        while True:
            if order.future.cancelled():
                return Outcome()
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
            if self._is_last_of_its_job(order):
                jobids.append(order.future.jobid)
                self._watches.forget(order.future.jobid)
        if not self._room.is_there():
            with self._turn:
                self._waiting = deque(order for order in self._waiting if not order.is_over)
        if not jobids:
            return
        try:
            await client.cancel_jobs(jobids, reason="its future was cancelled")
        except RainbowError as error:
            _log.warning(Line("jobs of cancelled futures may go on", jobs=len(jobids), error=error))

    def _is_last_of_its_job(self, order: Order) -> bool:
        """Whether its job is nobody else's, who has it no longer then."""
        orders = self._jobs.get(order.future.jobid, [])
        if order not in orders:
            return False
        orders.remove(order)
        if not orders:
            del self._jobs[order.future.jobid]
        return not orders


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
