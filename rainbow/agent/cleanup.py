"""What the agent keeps on disk of its jobs."""

import logging
from datetime import datetime, timedelta

from rainbow.agent.context import AgentContext
from rainbow.agent.held_jobs import HeldJobs
from rainbow.executors.executor import Ticket
from rainbow.system.disk_space import is_full
from rainbow.telemetry.lines import Line

FORGET_EVERY = timedelta(seconds=5)
TIDY_EVERY = timedelta(seconds=5)
TIDY_ON = timedelta(seconds=0.5)

_log = logging.getLogger("rainbow.agent")


class Cleanup:
    def __init__(self, context: AgentContext, held_jobs: HeldJobs) -> None:
        self._context = context
        self._held_jobs = held_jobs
        self._next_forget: datetime | None = None
        self._next_tidy: datetime | None = None

    def forget(self) -> bool:
        now = self._context.clock()
        if self._next_forget and now < self._next_forget:
            return False
        self._next_forget = now + FORGET_EVERY
        if done := [ticket for ticket in self._held_jobs.to_be_forgotten() if self._is_forgotten(ticket)]:
            self._held_jobs.forgotten(done)
        return False

    def tidy(self) -> bool:
        now = self._context.clock()
        if self._next_tidy and now < self._next_tidy:
            return False
        running = [held.entry.ticket for held in self._held_jobs if held.is_in_scheduler]
        more = self._context.executor.tidy(running)
        self._next_tidy = now + (TIDY_ON if more else TIDY_EVERY)
        return False

    def _is_forgotten(self, ticket: Ticket) -> bool:
        """What cannot be removed for want of space is tried again; other failures are left to an operator."""
        try:
            self._context.executor.forget(ticket)
        except OSError as error:
            _log.warning(Line("cannot remove the files of a job", key=ticket.key, error=error))
            return not is_full(error)
        return True
