"""Gives back jobs that did not start within the time that their submitters gave them."""

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

from rainbow.agent.context import AgentContext, Checkpoint
from rainbow.agent.held_job import HeldJob
from rainbow.agent.held_jobs import HeldJobs
from rainbow.agent.states import NOT_HANDED_OVER, Desired, Stage
from rainbow.executors.endings import ended
from rainbow.executors.executor import Ending
from rainbow.telemetry.lines import Line

# Others of the cluster's agents may have room for it.
ROOM_WITHIN = timedelta(seconds=5)

_log = logging.getLogger("rainbow.agent")


class Withdrawal:
    """A job that may have started is never given back."""

    def __init__(self, context: AgentContext, held_jobs: HeldJobs) -> None:
        self._context = context
        self._held_jobs = held_jobs

    def give_back(self) -> bool:
        """End what is overdue and certainly never reached the scheduler."""
        now = self._context.clock()
        overdue = [
            held
            for held in self._held_jobs.index.in_stages(NOT_HANDED_OVER)
            if not held.may_arrive and (held.is_overdue(now) or _lacks_room(held, now))
        ]
        with self._held_jobs.together():
            for held in overdue:
                why = f": {held.waiting_reason}" if held.waiting_reason else ""
                self._held_jobs.ended(held, ended(Ending.WITHDRAWN, reason=f"it was not handed over in time{why}"))
                _log.info(Line("gave back", job=held.entry.jobid, reason=held.waiting_reason))
        return bool(overdue)

    def withdraw(self) -> bool:
        """Request of the scheduler what is overdue there; what came of it is for the monitor to see."""
        now = self._context.clock()
        overdue = [held for held in self._held_jobs.index.impatient() if _is_due(held, now)]
        if overdue:
            self._withdraw(overdue, now)
        return False

    def _withdraw(self, jobs: Sequence[HeldJob], now: datetime) -> None:
        _log.info(Line("withdrawing", jobs=[held.entry.jobid for held in jobs]))
        for held in jobs:
            held.next_withdrawal = now + self._context.settings.heartbeat
        self._context.executor.withdraw([held.ticket for held in jobs])
        self._context.checkpoint(Checkpoint.WITHDRAWN)
        for held in jobs:
            held.next_withdrawal = now + timedelta(seconds=held.entry.work.start_within_seconds)


def _lacks_room(held: HeldJob, now: datetime) -> bool:
    """Whether it was accepted because others ended soon, and they do so no longer."""
    if not held.lacks_room or held.accepted_at is None or held.desired is not Desired.RUN:
        return False
    return now - held.accepted_at >= ROOM_WITHIN


def _is_due(held: HeldJob, now: datetime) -> bool:
    if held.stage is not Stage.SUBMITTED:
        return False
    return held.is_overdue(now) and (held.next_withdrawal is None or now >= held.next_withdrawal)
