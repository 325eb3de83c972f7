"""Refuses waiting jobs that can never run here. Requests for what fits now do not bring them up."""

from collections.abc import Callable
from datetime import datetime, timedelta

from rainbow.agent.acceptor import Acceptor
from rainbow.agent.context import AgentContext
from rainbow.agent.free_capacity import MOST_AT_ONCE
from rainbow.errors import DeadlineExceeded, Unavailable
from rainbow.pending_call import PendingCall
from rainbow.records import BrokenJob, WaitingJob, WaitingJobs
from rainbow.specs import work_of

# The server shows submitters which sizes were last requested, and notes them at intervals. So that it notes the
# acceptor's, this request follows just after one of those, unless that takes too long.
REJECT_EVERY = timedelta(seconds=45)
AT_LATEST = timedelta(seconds=75)
JUST_AFTER = timedelta(seconds=5)
TRY_AGAIN = timedelta(seconds=5)


class Rejecter:
    """Requests the head of the queue, whatever the jobs' size, and accepts what will be refused. It never waits.

    `tell` is called from another thread when an answer has arrived. `has_seen_queue`: there was an answer.
    """

    def __init__(self, context: AgentContext, acceptor: Acceptor, *, tell: Callable[[], None]) -> None:
        self._context = context
        self._acceptor = acceptor
        self._tell = tell
        self._pending: PendingCall[WaitingJobs] | None = None
        self._requested_at: datetime | None = None
        self.has_seen_queue = False

    def step(self) -> bool:
        if self._pending:
            return self._pending.done() and self._reject(self._pending)
        if self._is_time():
            self._request()
        return False

    def withdraw(self) -> None:
        if self._pending:
            self._pending.cancel()
        self._pending = None

    def _is_time(self) -> bool:
        now = self._context.clock()
        if self._requested_at is None:
            return True
        age = now - self._requested_at
        return age >= AT_LATEST or (age >= REJECT_EVERY and now - self._acceptor.asked_at < JUST_AFTER)

    def _request(self) -> None:
        self._requested_at = self._context.clock()
        self._pending = self._context.client.begin_request(
            max_jobs=MOST_AT_ONCE, wait_seconds=0, max_nodes=0, max_tasks=0
        )
        self._pending.when_done(self._tell)

    def _reject(self, pending: PendingCall[WaitingJobs]) -> bool:
        self._pending = None
        try:
            offer = pending.result()
        except (Unavailable, DeadlineExceeded):
            # The acceptor reports it.
            self._requested_at = self._context.clock() - AT_LATEST + TRY_AGAIN
            return False
        # A job of a pool is not all told, and may run elsewhere: it is refused once this cluster takes it.
        refused = [job for job in offer.jobs if not job.pool and self._context.refusal_of_offer(work_of(job))]
        hopeless: list[WaitingJob | BrokenJob] = [*offer.broken, *refused]
        if hopeless:
            # More may follow in the queue.
            self._requested_at = None
            self._acceptor.accept(hopeless)
        self.has_seen_queue = self.has_seen_queue or not hopeless
        return bool(hopeless)
