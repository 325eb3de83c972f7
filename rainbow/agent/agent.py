"""The agent's loop."""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from queue import Empty, SimpleQueue

from rainbow.agent.acceptor import WAIT_SECONDS, Acceptor
from rainbow.agent.context import AgentContext
from rainbow.agent.handover import HandOver
from rainbow.agent.held_jobs import HeldJob, HeldJobs
from rainbow.agent.job_reports import in_one_line
from rainbow.agent.monitor import Monitor
from rainbow.agent.recovery import Recovery
from rainbow.agent.rejecter import Rejecter
from rainbow.agent.renewal import Renewal
from rainbow.agent.reporter import Reporter
from rainbow.agent.states import Desired, Stage
from rainbow.disk import is_full
from rainbow.errors import (
    DeadlineExceeded,
    FailedPrecondition,
    PermissionDenied,
    RainbowError,
    Unauthenticated,
    Unavailable,
    Unimplemented,
)
from rainbow.executors.executor import SchedulerSilent, Ticket
from rainbow.journal import Journal
from rainbow.journal_faults import JournalUnusable

# Trying again does not help against these.
FATAL = (PermissionDenied, Unimplemented, JournalUnusable)
FORGET_EVERY = timedelta(seconds=5)
TIDY_EVERY = timedelta(seconds=5)
TIDY_ON = timedelta(seconds=0.5)
# When it is told to stop, what it just did is followed to a quiet moment, in so many rounds at most.
LAST_ROUNDS = 5

_log = logging.getLogger("rainbow.agent")


class Agent:
    """Takes jobs of a cluster, hands them to its scheduler, and reports them to their end.

    Nothing is asked for before the journal, the scheduler and the server agree on what is there. A scheduler or a
    server that does not answer is waited for. `rest` sleeps for so many seconds, or until there is news.
    """

    def __init__(self, context: AgentContext, journal: Journal, *, rest: Callable[[float], None] | None = None) -> None:
        self._context = context
        self._news: SimpleQueue[None] = SimpleQueue()
        self._rest = rest or self._wait_for_news
        self._held_jobs = HeldJobs(journal, clock=context.clock, checkpoint=context.checkpoint)
        self._reporter = Reporter(context, self._held_jobs)
        self._recovery = Recovery(context, self._held_jobs)
        self._hand_over = HandOver(context, self._held_jobs, self._reporter)
        self._monitor = Monitor(context, self._held_jobs)
        self._acceptor = Acceptor(context, self._held_jobs, self._reporter, self._recovery, tell=self._wake)
        self._rejecter = Rejecter(context, self._acceptor, tell=self._wake)
        self._renewal = Renewal(context.client, context.read_secret, context.clock)
        self._duties: tuple[Callable[[], bool], ...] = (
            self._hand_over.settle,
            self._monitor.watch,
            self._recovery.step,
            self._take,
            self._reject,
            self._hand_over.prepare,
            self._reporter.step,
            self._monitor.stop,
            self._hand_over.submit,
            self._forget,
            self._tidy,
        )
        self._server_duties = (self._recovery.step, self._reject, self._hand_over.prepare, self._reporter.step)
        self._is_silent = False
        self._is_refused = False
        self._draining = False
        self._wait_seconds = WAIT_SECONDS
        self._troubles: dict[Callable[[], bool], str] = {}
        # How many calls the server had answered when it did not answer this duty's.
        self._unheard_since: dict[Callable[[], bool], int] = {}
        self._next_forget: datetime | None = None
        self._next_tidy: datetime | None = None

    def run(self, *, once: bool = False) -> None:
        """Repeat and rest until `drain` is called; `once` only until nothing waits that can run here, and all is over.

        With `once`, raises FailedPrecondition when the scheduler takes no jobs now.
        Raises PermissionDenied or Unimplemented when the server does, Unauthenticated when it refuses the secret and no
        other one is to be had, and JournalUnusable: going on without the journal could run a job twice. A full disk is
        waited for.
        """
        self._wait_seconds = 0 if once else WAIT_SECONDS
        while not self._draining and not (once and self._has_nothing_to_do()):
            if not self.step():
                self._rest(self._context.settings.interval_seconds)
        self._acceptor.withdraw()
        self._rejecter.withdraw()
        for _ in range(LAST_ROUNDS):
            if not self.step() or self._troubles:
                break
        _log.info("stopped; %d jobs go on without the agent", len(self._held_jobs))
        if once and not self._draining and self._reporter.not_ready and not self._acceptor.found_nothing:
            raise FailedPrecondition(f"jobs may wait that cannot run now: {in_one_line(self._reporter.not_ready)}")

    def drain(self) -> None:
        """Take no more jobs, leave those that run alone, tell what is known, and end. Signal handlers may call it."""
        self._draining = True
        self._wake()

    def step(self) -> bool:
        """Look at every job once and do for each what is due; say whether any of them moved on."""
        self._is_silent = self._is_refused = False
        moved = [self._tried(duty) for duty in self._duties]
        return any(moved)

    def _take(self) -> bool:
        return self._may_ask() and self._acceptor.step(wait_seconds=self._wait_seconds)

    def _reject(self) -> bool:
        return self._may_ask() and self._rejecter.step()

    def _may_ask(self) -> bool:
        return not self._draining and self._is_reconciled()

    def _is_reconciled(self) -> bool:
        if self._recovery.needed:
            return False
        return not any(_is_open(held) for held in self._held_jobs)

    def _has_nothing_to_do(self) -> bool:
        cannot = bool(self._reporter.not_ready) and not self._troubles
        return self._rejecter.has_looked and not len(self._held_jobs) and (self._acceptor.found_nothing or cannot)

    def _forget(self) -> bool:
        """Remove what is kept on disk of jobs that are over and reported."""
        now = self._context.clock()
        if self._next_forget and now < self._next_forget:
            return False
        self._next_forget = now + FORGET_EVERY
        tickets = self._held_jobs.to_be_forgotten()
        if done := [ticket for ticket in tickets if self._is_forgotten(ticket)]:
            self._held_jobs.forgotten(done)
        return False

    def _is_forgotten(self, ticket: Ticket) -> bool:
        """What cannot be removed for want of space is tried again; the rest of what cannot be is an operator's."""
        try:
            self._context.executor.forget(ticket)
        except OSError as error:
            _log.warning("cannot remove the files of %s: %s", ticket.key, error)
            return not is_full(error)
        return True

    def _tidy(self) -> bool:
        """Cut outputs that grow without end, and remove what is forgotten, a bit in each round."""
        now = self._context.clock()
        if self._next_tidy and now < self._next_tidy:
            return False
        running = [held.entry.ticket for held in self._held_jobs if held.is_in_scheduler]
        more = self._context.executor.tidy(running)
        self._next_tidy = now + (TIDY_ON if more else TIDY_EVERY)
        return False

    def _tried(self, duty: Callable[[], bool]) -> bool:
        """Do a duty; what fails is tried again in the next round.

        A silent scheduler is not asked twice in a round, nor is a server that refuses the secret.
        """
        if self._is_refused or (self._is_silent and duty not in self._server_duties):
            return False
        try:
            moved = duty()
        except FATAL:
            raise
        except Unauthenticated as refusal:
            self._is_refused = True
            self._unheard_since[duty] = self._context.client.answers
            if not self._renewal.is_worth_a_try():
                raise
            self._note_trouble(duty, f"{refusal}; reading the secret again")
            return False
        except RainbowError as error:
            self._is_silent = self._is_silent or isinstance(error, SchedulerSilent)
            if isinstance(error, Unavailable | DeadlineExceeded):
                self._unheard_since[duty] = self._context.client.answers
            self._note_trouble(duty, str(error))
            return False
        except Exception as error:
            # Whatever nobody thought of in one job, or in a scheduler's answer: the others go on.
            self._note_trouble(duty, f"{type(error).__name__}: {error}", surprise=error)
            return False
        # A duty that had nothing to ask does not know whether the server is back.
        if self._context.client.answers > self._unheard_since.get(duty, -1):
            self._note_trouble(duty, "")
        return moved

    def _note_trouble(self, duty: Callable[[], bool], trouble: str, *, surprise: Exception | None = None) -> None:
        """Say it once, and once when it is over."""
        before = self._troubles.pop(duty, "")
        if trouble:
            self._troubles[duty] = trouble
        if trouble and trouble != before:
            _log.warning("%s", trouble, exc_info=surprise)
        elif before and not trouble:
            _log.info("no longer: %s", before)

    def _wake(self) -> None:
        self._news.put(None)

    def _wait_for_news(self, seconds: float) -> None:
        try:
            self._news.get(timeout=seconds)
        except Empty:
            return


def _is_open(held: HeldJob) -> bool:
    """Whether the scheduler or the server is still to be asked about a job that an earlier agent left."""
    return held.stage is Stage.IN_DOUBT or (held.told is None and held.desired is not Desired.ABANDON)
