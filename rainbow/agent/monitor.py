"""Watches the jobs that the scheduler has, and stops those that are to be stopped."""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from rainbow.agent.context import AgentContext
from rainbow.agent.held_job import HeldJob
from rainbow.agent.held_jobs import HeldJobs
from rainbow.agent.job_reports import state_of
from rainbow.agent.states import IN_SCHEDULER, Desired, Stage
from rainbow.executors.endings import cancelled
from rainbow.executors.executor import Ending, JobPhase, MayStart, Progress
from rainbow.telemetry.lines import Line

# A scheduler may not list a job while it moves it from one list to another.
BELIEVED_GONE_AFTER = timedelta(seconds=10)
# Reading what a scheduler says of thousands of jobs may take the agent a second of processor time. A poll that takes
# longer than this is followed by a pause, so that polls take a twentieth of a processor; the longest is a heartbeat's.
EXPENSIVE = timedelta(seconds=0.05)
PAUSE = 20
# After a change others follow, as the end of a short job. Twice as long after each poll that finds none, up to the
# interval. The scheduler is busy with such polls for a tenth of the time at most.
SOON = timedelta(seconds=0.1)
BUSY = 10

_log = logging.getLogger("rainbow.agent")


class Monitor:
    """`is_due`: the scheduler said that there may be news. Any thread may set it."""

    def __init__(self, context: AgentContext, held_jobs: HeldJobs) -> None:
        self._context = context
        self._held_jobs = held_jobs
        self._polled_at: datetime | None = None
        self._took = timedelta()
        self._interval = timedelta(seconds=context.settings.interval_seconds)
        self._soon = self._next = self._interval
        self.is_due = False

    def watch(self) -> bool:
        """Poll all jobs of the scheduler with one call, when it is time, or when there is news or new ones."""
        index, now = self._held_jobs.index, self._context.clock()
        has_new = index.has_arrived()
        if not index.count(IN_SCHEDULER) or self._pauses(now) or not (self.is_due or self._is_time(now) or has_new):
            return False
        # Before the call, so that what happens meanwhile is news.
        self.is_due = False
        index.arrivals_seen()
        held = {job.key: job for job in index.in_stages(IN_SCHEDULER)}
        later = min(self._next * 2, self._interval)
        self._polled_at, self._next = now, self._interval
        progress = self._poll(list(held.values()))
        with self._held_jobs.together():
            changes = [self._note(held[key], seen, now) for key, seen in progress.items()]
        self._next = self._soon if has_new or any(changes) else later
        return any(changes)

    def seconds_to_poll(self) -> float:
        """How long the agent may rest. A poll that is due and was not made is not waited for."""
        if self._polled_at is None:
            return self._context.settings.interval_seconds
        left = self._polled_at + max(self._next, self._pause()) - self._context.clock()
        return left.total_seconds() if left > timedelta() else self._context.settings.interval_seconds

    def _poll(self, jobs: Sequence[HeldJob]) -> Mapping[str, Progress]:
        began, began_at = time.process_time(), time.monotonic()
        progress = self._context.executor.watch([job.ticket for job in jobs])
        self._took = timedelta(seconds=time.process_time() - began)
        soon = max(SOON, timedelta(seconds=BUSY * (time.monotonic() - began_at)))
        self._soon = self._interval if self._context.executor.access.tells_ends else min(soon, self._interval)
        return progress

    def stop(self) -> bool:
        now, unwanted = self._context.clock(), self._held_jobs.index.unwanted()
        not_started = [held for held in unwanted if not held.is_handed_over]
        self._end([held for held in not_started if not held.may_arrive])
        late = [held for held in not_started if held.may_arrive]
        try:
            self._cancel([*late, *(held for held in unwanted if self._is_to_be_cancelled(held, now))], now)
        except MayStart as some:
            self._end([held for held in late if held.key not in some.keys])
            raise
        # Only now: while the scheduler was not asked, what arrives late would run, beside the next attempt.
        self._end(late)
        # Those that still wait for room are not started; the others are stopped once it is known that they were.
        if waiting := [held.ticket for held in unwanted if held.under_way]:
            self._context.executor.cancel(waiting)
        return False

    def _end(self, jobs: Sequence[HeldJob]) -> None:
        with self._held_jobs.together():
            for held in jobs:
                if held.desired is Desired.CANCEL:
                    self._held_jobs.ended(held, cancelled())
            if abandoned := [held for held in jobs if held.desired is Desired.ABANDON]:
                self._held_jobs.let_go(abandoned)

    def _cancel(self, jobs: Sequence[HeldJob], now: datetime) -> None:
        """With one call, which costs some schedulers half a second."""
        if not jobs:
            return
        # What may still arrive is asked for in each round until there is an answer.
        if new := [held.entry.jobid for held in jobs if held.cancelled_at is None]:
            _log.info(Line("stopping", jobs=new))
        for held in jobs:
            held.cancelled_at = now
        self._context.executor.cancel([held.ticket for held in jobs])

    def _pauses(self, now: datetime) -> bool:
        return self._polled_at is not None and now - self._polled_at < self._pause()

    def _pause(self) -> timedelta:
        """None where a poll costs as much as what changed since the last one."""
        if self._context.executor.access.tells_changes:
            return timedelta()
        pause = min(self._took * PAUSE, self._context.settings.heartbeat)
        return pause if self._took >= EXPENSIVE else timedelta()

    def _is_time(self, now: datetime) -> bool:
        return self._polled_at is None or now - self._polled_at >= self._next

    def _is_to_be_cancelled(self, held: HeldJob, now: datetime) -> bool:
        if not held.is_in_scheduler:
            return False
        return held.cancelled_at is None or now - held.cancelled_at >= self._context.settings.heartbeat

    def _note(self, held: HeldJob, progress: Progress, now: datetime) -> bool:
        """Whether anything about the job changed."""
        if progress.phase != JobPhase.GONE:
            held.missing_since = None
        if progress.phase == JobPhase.PENDING:
            changed, held.waiting_reason = held.waiting_reason != progress.reason, progress.reason
            return changed
        if progress.phase == JobPhase.RUNNING:
            return self._note_start(held, progress)
        return self._note_end(held, progress, now)

    def _note_start(self, held: HeldJob, progress: Progress) -> bool:
        if held.stage is Stage.RUNNING:
            return False
        self._held_jobs.started(held, progress)
        return True

    def _note_end(self, held: HeldJob, progress: Progress, now: datetime) -> bool:
        held.missing_since = held.missing_since or now
        if progress.phase == JobPhase.GONE and now - held.missing_since < BELIEVED_GONE_AFTER:
            return False
        if progress.ending is Ending.WITHDRAWN and held.desired is not Desired.RUN:
            progress = replace(cancelled(), ended_at=progress.ended_at)
        self._held_jobs.ended(held, progress)
        _log.info(Line("ended", job=held.entry.jobid, state=state_of(progress), reason=progress.reason))
        return True
