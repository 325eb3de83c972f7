"""What the agent keeps on disk of its jobs."""

import logging
from collections.abc import Iterable
from datetime import datetime, timedelta
from itertools import islice

from rainbow.agent.context import KEPT, AgentContext
from rainbow.agent.held_jobs import HeldJobs
from rainbow.agent.journal import Done
from rainbow.agent.states import IN_SCHEDULER
from rainbow.executors.executor import Ticket
from rainbow.system.disk_space import is_full
from rainbow.telemetry.lines import Line

FORGET_EVERY = timedelta(seconds=5)
TIDY_EVERY = timedelta(seconds=5)
TIDY_ON = timedelta(seconds=0.5)
# Their rows stay in the journal.
MOST_KEPT_JOBS = 20_000
MEASURED_AT_ONCE = 200

_log = logging.getLogger("rainbow.agent")


class Cleanup:
    def __init__(self, context: AgentContext, held_jobs: HeldJobs) -> None:
        self._context = context
        self._held_jobs = held_jobs
        self._next_forget: datetime | None = None
        self._next_tidy: datetime | None = None
        self._sizes: dict[str, int] = {}

    def forget(self) -> bool:
        now = self._context.clock()
        if self._next_forget and now < self._next_forget:
            return False
        self._next_forget = now + FORGET_EVERY
        if done := [ticket for ticket in self._to_be_forgotten(now) if self._is_forgotten(ticket)]:
            self._held_jobs.forgotten(done)
            for ticket in done:
                self._sizes.pop(ticket.key, None)
        return False

    def _to_be_forgotten(self, now: datetime) -> list[Ticket]:
        """What was kept for long enough; earlier the earliest of what takes too much space, and where the disk is full
        all.
        """
        done = self._held_jobs.done
        if self._held_jobs.shortage():
            return [one.ticket for one in done]
        settings = self._context.settings
        old = [one for one in done if one.at <= now - settings.keep_output]
        kept = done[len(old) :]
        self._measure(kept)
        # One that alone takes more than there may be is no reason to forget all the others.
        is_too_large = {key for key, size in self._sizes.items() if size > settings.keep_output_bytes}
        old += [one for one in kept if one.ticket.key in is_too_large and one.at <= now - KEPT]
        kept = [one for one in kept if one.ticket.key not in is_too_large]
        excess = sum(self._sizes.get(one.ticket.key, 0) for one in kept) - settings.keep_output_bytes
        too_many = len(kept) - MOST_KEPT_JOBS
        for number, one in enumerate(kept):
            if (excess <= 0 and number >= too_many) or one.at > now - KEPT:
                break
            old.append(one)
            excess -= self._sizes.get(one.ticket.key, 0)
        return [one.ticket for one in old]

    def _measure(self, kept: Iterable[Done]) -> None:
        """Each once, a few at a time: what a job that is over wrote does not grow."""
        new = (one.ticket for one in kept if one.ticket.key not in self._sizes)
        for ticket in islice(new, MEASURED_AT_ONCE):
            self._context.executor.forget_secrets(ticket)
            self._sizes[ticket.key] = self._context.executor.kept_bytes(ticket)

    def tidy(self) -> bool:
        now = self._context.clock()
        if self._next_tidy and now < self._next_tidy:
            return False
        running = [held.ticket for held in self._held_jobs.index.in_stages(IN_SCHEDULER)]
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
