"""Requests jobs that can run now, and accepts them."""

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from rainbow.agent.context import AgentContext, Checkpoint
from rainbow.agent.free_capacity import MOST_AT_ONCE, FreeCapacity, free_capacity
from rainbow.agent.held_jobs import HeldJobs
from rainbow.agent.journal_entries import entry_of, recovered_entry
from rainbow.agent.recovery import Recovery
from rainbow.agent.reporter import Reporter
from rainbow.agent.states import IN_SCHEDULER, WAITING, Stage
from rainbow.errors import RainbowError
from rainbow.executors.executor import Capacity, SchedulerSilent
from rainbow.pending_call import PendingCall
from rainbow.records import BrokenJob, WaitingJob, WaitingJobs
from rainbow.telemetry.lines import Line
from rainbow.telemetry.request_ids import calls_named

WAIT_SECONDS = 60
# The scheduler has other users: more may fit than the open request asks for.
CHECK_AGAIN = timedelta(seconds=5)
# A full cluster is normal; after this time operators are told.
FULL_FOR = timedelta(seconds=60)
# Jobs that are accepted before they can start: for so long at this pace, and so many slots of them at most.
READY_FOR = timedelta(seconds=1)
MOST_READY = 256
NO_ROOM = FreeCapacity(nodes=0, slots=0, jobs=0)
FULL = "all that it has is in use"

_log = logging.getLogger("rainbow.agent")


class Acceptor:
    """`tell` is called from another thread when an answer has arrived. `asked_at`: when the server was last asked."""

    def __init__(
        self,
        context: AgentContext,
        held_jobs: HeldJobs,
        reporter: Reporter,
        recovery: Recovery,
        *,
        tell: Callable[[], None],
    ) -> None:
        self._context = context
        self._held_jobs = held_jobs
        self._reporter = reporter
        self._recovery = recovery
        self._tell = tell
        self._pending: PendingCall[WaitingJobs] | None = None
        self._asked = NO_ROOM
        self.asked_at = context.clock()
        self._next_check: datetime | None = None
        self._seen_ends = 0
        self._full_since: datetime | None = None
        self._found_nothing = False
        self._returns_before = 0

    @property
    def found_nothing(self) -> bool:
        """Whether the last answer had no jobs; one that was given back since may wait again."""
        return self._found_nothing and self._returns_before == self._held_jobs.returns

    def step(self, *, wait_seconds: int = WAIT_SECONDS) -> bool:
        """Take the answer that arrived, or keep a request open for what fits; whether jobs were accepted."""
        if self._pending and self._pending.done():
            return self._take(self._pending)
        if not self._is_time_to_check():
            return False
        free = self._free()
        if self._pending and (not free or free.is_more_than(self._asked)):
            self.withdraw()
        if free and not self._pending:
            self._ask(free, wait_seconds)
            self._next_check = self._context.clock() + CHECK_AGAIN
        return False

    def withdraw(self) -> None:
        """Cancel the request. What it was offered meanwhile stays in the queue."""
        if self._pending:
            self._pending.cancel()
        self._pending = None

    def accept(self, offers: Sequence[WaitingJob | BrokenJob]) -> None:
        """Broken jobs are accepted, too, and fail at once with their reason."""
        settings, sent_at = self._context.settings, self._context.clock()
        try:
            with calls_named() as request_id:
                taken = self._context.client.accept_jobs(
                    [job.id for job in offers], agent=settings.agent, lease_seconds=settings.lease_seconds
                )
        except RainbowError as error:
            # The server may have accepted them all the same.
            self._recovery.needed = self._recovery.needed or error.may_be_done
            raise
        self._context.checkpoint(Checkpoint.ACCEPTED)
        offered = {job.id: job for job in offers}
        told = [job for job in taken.accepted if self._is_all_told(offered[job.jobid])]
        entries = [entry_of(offered[job.jobid], attempt=job.attempt) for job in told]
        parents = {job.jobid: job.traceparent for job in taken.accepted}
        for held in self._held_jobs.accepted(entries, renewed_at=sent_at):
            held.traceparent = parents[held.entry.jobid]
        if len(told) < len(taken.accepted):
            self._look_up({job.jobid: job.attempt for job in taken.accepted if job not in told}, sent_at)
        _log.info(Line("accepted", jobs=[job.jobid for job in taken.accepted], request_id=request_id))
        for job in offers:
            if isinstance(job, BrokenJob):
                _log.warning(Line("refused", job=job.id, reason=job.reason))

    def _is_all_told(self, job: WaitingJob | BrokenJob) -> bool:
        return isinstance(job, BrokenJob) or not (job.pool or job.secrets or self._context.asks_whose)

    def _look_up(self, attempts: Mapping[int, int], accepted_at: datetime) -> None:
        """What else of these jobs, by their attempts, there is to know, now that they are this cluster's.

        Another of the cluster's agents may have the next attempt by now, and would run it, too.
        """
        try:
            found = self._context.client.get_jobs(list(attempts)).jobs
        except RainbowError:
            self._recovery.needed = True
            raise
        mine = [job for job in found if (job.attempt, job.agent) == (attempts[job.id], self._context.settings.agent)]
        self._held_jobs.accepted([recovered_entry(job) for job in mine], renewed_at=accepted_at)

    def _is_time_to_check(self) -> bool:
        now = self._context.clock()
        if self._next_check is None or now >= self._next_check or self._seen_ends != self._held_jobs.ends:
            again = CHECK_AGAIN if self._pending else timedelta(seconds=self._context.settings.interval_seconds)
            self._next_check, self._seen_ends = now + again, self._held_jobs.ends
            return True
        return False

    def _free(self, *, with_ready: bool = True) -> FreeCapacity:
        """What fits now, or will soon. Sets the reason why nothing does, where it lasts."""
        if obstacle := self._held_jobs.shortage() or self._context.fault():
            self._reporter.not_ready = obstacle
            return NO_ROOM
        try:
            capacity = self._context.executor.capacity()
        except SchedulerSilent as silence:
            self._reporter.not_ready = f"the scheduler does not answer: {silence.message}"
            self.withdraw()
            raise
        waiting = [held.entry.work for held in self._held_jobs.index.in_stages(WAITING)]
        sizes = [(work.nodes, self._context.executor.slots(work)) for work in waiting]
        soon = self._soon(capacity) if with_ready else 0
        ahead = self._context.settings.ahead
        free = free_capacity(capacity, sizes, most_jobs=self._most_jobs(), ahead=ahead, soon=soon)
        self._reporter.not_ready = capacity.not_ready or self._fullness(free)
        return NO_ROOM if capacity.not_ready else free

    def _soon(self, capacity: Capacity) -> int:
        """How many slots will be free within a second: as many as were, where all were more than once.

        So jobs that take a second or more are never taken before they can start.
        """
        if not self._context.executor.access.waits_for_room:
            return 0
        since = self._context.clock() - READY_FOR
        slots = self._context.executor.slots
        freed = sum(slots(work) for ended_at, work in self._held_jobs.successes if ended_at > since)
        taken = sum(slots(held.entry.work) for held in self._held_jobs.index.in_stages(IN_SCHEDULER))
        return min(freed, MOST_READY) if freed > capacity.slots + taken else 0

    def _most_jobs(self) -> int:
        held = len(self._held_jobs) - self._held_jobs.index.count((Stage.ENDED,))
        return (
            min(self._context.settings.max_jobs - held, MOST_AT_ONCE)
            if self._context.settings.max_jobs
            else MOST_AT_ONCE
        )

    def _fullness(self, free: FreeCapacity) -> str:
        now = self._context.clock()
        self._full_since = None if free else self._full_since or now
        return FULL if self._full_since and now - self._full_since >= FULL_FOR else ""

    def _ask(self, free: FreeCapacity, wait_seconds: int) -> None:
        self._found_nothing, self._returns_before = False, self._held_jobs.returns
        self._asked, self.asked_at = free, self._context.clock()
        self._pending = self._context.client.begin_request(
            max_jobs=free.most_jobs,
            wait_seconds=wait_seconds,
            max_nodes=free.most_nodes,
            max_tasks=free.most_tasks,
            max_cores=free.most_tasks,
        )
        self._pending.when_done(self._tell)

    def _take(self, pending: PendingCall[WaitingJobs]) -> bool:
        self._pending = None
        offer = pending.result()
        if not (offer.jobs or offer.broken):
            self._found_nothing = True
            self._next_check = self.asked_at + CHECK_AGAIN
            return False
        self._next_check = None
        self._context.checkpoint(Checkpoint.OFFERED)
        chosen: list[WaitingJob | BrokenJob] = [*offer.broken, *self._chosen(offer.jobs)]
        if not chosen:
            self._next_check = self._context.clock() + CHECK_AGAIN
            return False
        self.accept(chosen)
        return True

    def _chosen(self, jobs: Sequence[WaitingJob]) -> list[WaitingJob]:
        """The jobs that fit. Where nothing runs, what does not fit never will: the first is accepted, so that the
        scheduler refuses it.
        """
        # A pool's other clusters may start theirs now.
        free = self._free(with_ready=not any(job.pool for job in jobs))
        chosen = free.fitting(jobs, self._context.executor.slots)
        return chosen or ([] if len(self._held_jobs) or self._reporter.not_ready else list(jobs[:1]))
