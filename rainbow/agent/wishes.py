"""Does what the server wants of the agent before its next report."""

import logging
from datetime import datetime, timedelta

from rainbow.agent.context import AgentContext
from rainbow.agent.held_job import HeldJob
from rainbow.agent.held_jobs import HeldJobs
from rainbow.agent.states import Stage
from rainbow.agent.wish_listener import WishListener
from rainbow.executors.executor import SchedulerSilent
from rainbow.signals import SIGNALS
from rainbow.telemetry.lines import Line
from rainbow.wishes import Wish, WishKind

# A scheduler that does not answer is tried again for so long.
TRY_FOR = timedelta(minutes=1)
NOT_RUNNING = "the job does not run"

_log = logging.getLogger("rainbow.agent")


class Wishes:
    def __init__(self, context: AgentContext, held_jobs: HeldJobs, listener: WishListener) -> None:
        self._context = context
        self._held_jobs = held_jobs
        self._listener = listener
        # Signals that are still to be sent, each since when.
        self._signals: dict[Wish, datetime] = {}

    def look(self) -> bool:
        """Have the jobs reported of which cancels are requested, and sort out the rest."""
        for wish in self._listener.take():
            if wish.kind is WishKind.CANCEL:
                self._report(set(wish.jobids))
                self._listener.settle(wish)
            elif wish.kind is WishKind.SIGNAL and wish.signal in SIGNALS:
                self._signals[wish] = self._context.clock()
            else:
                self._listener.settle(wish, "this agent does not know how; update it")
        return False

    def send_signals(self) -> bool:
        """A scheduler that does not take one is not asked again in this round, and the next ones go first then."""
        for wish, since in list(self._signals.items()):
            try:
                error = self._send(wish)
            except SchedulerSilent as silence:
                if self._context.clock() - since < TRY_FOR:
                    self._signals[wish] = self._signals.pop(wish)
                    raise
                error = silence.message
            del self._signals[wish]
            self._listener.settle(wish, error)
        return False

    def _report(self, jobids: set[int]) -> None:
        for held in self._held_jobs:
            if held.entry.jobid in jobids:
                held.renewed_at = None

    def _send(self, wish: Wish) -> str:
        """Why it cannot be sent; empty where it was."""
        held = self._running(wish)
        if held is None:
            return NOT_RUNNING
        self._context.executor.signal(held.entry.ticket, wish.signal)
        _log.info(Line("signalled", job=held.entry.jobid, signal=wish.signal))
        return ""

    def _running(self, wish: Wish) -> HeldJob | None:
        meant = (wish.jobids, wish.attempt)
        found = (held for held in self._held_jobs if ((held.entry.jobid,), held.entry.attempt) == meant)
        held = next(found, None)
        return held if held and held.stage is Stage.RUNNING else None
