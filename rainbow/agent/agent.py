"""The agent's loop."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime
from queue import Empty, SimpleQueue

from rainbow.agent.acceptor import WAIT_SECONDS, Acceptor
from rainbow.agent.cleanup import Cleanup
from rainbow.agent.context import AgentContext
from rainbow.agent.facts import FactsTeller
from rainbow.agent.hand_over import HandOver
from rainbow.agent.held_jobs import HeldJobs
from rainbow.agent.job_reports import in_one_line
from rainbow.agent.journal import Journal
from rainbow.agent.monitor import Monitor
from rainbow.agent.recovery import Recovery
from rainbow.agent.rejecter import Rejecter
from rainbow.agent.renewal import Renewal
from rainbow.agent.reporter import Reporter
from rainbow.agent.round import Duty, Round
from rainbow.agent.senders import Senders
from rainbow.agent.staging import Staging
from rainbow.agent.states import Stage
from rainbow.agent.wish_listener import WishListener
from rainbow.agent.wishes import Wishes
from rainbow.agent.withdrawal import Withdrawal
from rainbow.errors import FailedPrecondition

# After `drain`, rounds go on until nothing moves, but no longer than this.
LAST_ROUNDS = 5
# While jobs that are ready start as soon as others end, without the next round: so it moves many.
BETWEEN_ROUNDS_SECONDS = 0.1

_log = logging.getLogger("rainbow.agent")


class Agent:
    """Takes jobs of a cluster, hands them to its scheduler, and reports them to their end.

    It requests no jobs before journal, scheduler and server agree, and waits for a scheduler or a server that does not
    answer. `rest` sleeps for so many seconds, or until `_wake` is called.
    """

    def __init__(self, context: AgentContext, journal: Journal, *, rest: Callable[[float], None] | None = None) -> None:
        self._context = context
        self._wakeups: SimpleQueue[None] = SimpleQueue()
        self._rest = rest or self._wait_for_wakeup
        self._held_jobs = HeldJobs(
            journal,
            clock=context.clock,
            wall_clock=context.wall_clock,
            checkpoint=context.checkpoint,
            signatures=context.signatures,
        )
        self._reporter = Reporter(context, self._held_jobs)
        self._recovery = Recovery(context, self._held_jobs)
        self._staging = Staging(context, journal.folder, tell=self._wake)
        self._hand_over = HandOver(context, self._held_jobs, self._reporter, self._staging, tell=self._wake)
        self._monitor = Monitor(context, self._held_jobs)
        self._withdrawal = Withdrawal(context, self._held_jobs)
        self._acceptor = Acceptor(context, self._held_jobs, self._reporter, self._recovery, tell=self._wake)
        self._rejecter = Rejecter(context, self._acceptor, tell=self._wake)
        self._facts = FactsTeller(context, self._reporter)
        self._cleanup = Cleanup(context, self._held_jobs)
        self._senders = Senders(context, is_over=lambda key: not self._held_jobs.runs(key))
        self._listener = WishListener(context.client, context.settings.agent, tell=self._wake, send=self._senders.send)
        self._wishes = Wishes(context, self._held_jobs, self._listener)
        self._reporter.is_wanted = self._listener.has_news
        renewal = Renewal(context.client, context.read_secret, context.clock)
        self._round = Round(self._duties(), context.client, renewal)
        context.executor.notify(self._look_now)
        self._draining = False
        self._wait_seconds = WAIT_SECONDS
        self._last_round_at: datetime | None = None

    # For metrics, and safe in another thread.

    @property
    def stages(self) -> list[Stage]:
        return [held.stage for held in self._held_jobs]

    @property
    def reports_outstanding(self) -> int:
        return self._reporter.outstanding

    @property
    def troubles(self) -> int:
        return self._round.troubles

    @property
    def not_ready(self) -> str:
        return self._reporter.not_ready

    @property
    def last_round_at(self) -> float:
        return self._last_round_at.timestamp() if self._last_round_at else 0.0

    @property
    def last_contact_at(self) -> float:
        return self._context.client.answered_at

    # What it does.

    def _duties(self) -> Iterator[Duty]:
        # First, because nothing else may be decided about a job while the scheduler may or may not have it.
        yield Duty(self._hand_over.settle, asks_scheduler=True)
        # Before watching, so that what was handed over in the background, and ended, is reported to its end.
        yield Duty(self._hand_over.collect)
        # Before capacity is counted: jobs that ended make it free. Before reporting: so ends are reported at once.
        yield Duty(self._monitor.watch, asks_scheduler=True)
        # After settling: what is not in doubt is not in the scheduler. Before reporting, as ends.
        yield Duty(self._withdrawal.give_back)
        # Before more jobs are taken: an accept whose answer got lost may have given some already.
        yield Duty(self._recovery.step)
        # Before preparing and reporting, so that a job gets from the offer to the scheduler in one round.
        yield Duty(self._accept, asks_scheduler=True)
        # After accepting: the server shows submitters the size that was asked for last, which should be the acceptor's.
        yield Duty(self._reject)
        # Before reporting: a job is announced only after the journal says that it is about to be handed over.
        yield Duty(self._hand_over.prepare)
        # Before reporting: the answer to a report says which jobs to stop.
        yield Duty(self._wishes.look)
        # Before stopping and submitting: a job is submitted only after the server counted its announcement, and the
        # same answer says which jobs to stop.
        yield Duty(self._reporter.step)
        # Before submitting: a job that is to be stopped is ended here, and not handed over first.
        yield Duty(self._monitor.stop, asks_scheduler=True)
        # After stopping: what is to be stopped needs no signal.
        yield Duty(self._wishes.send_signals, asks_scheduler=True)
        # After stopping: a job that is to be stopped is not given back.
        yield Duty(self._withdraw, asks_scheduler=True)
        # After all that has to be on time, because it may take long; a heartbeat that is due interrupts it.
        yield Duty(self._hand_over.submit, asks_scheduler=True)
        # Last, because nothing waits for it.
        yield Duty(self._facts.step, asks_scheduler=True)
        yield Duty(self._cleanup.forget)
        yield Duty(self._cleanup.tidy)

    def run(self, *, once: bool = False) -> None:
        """Do rounds until `drain` is called; with `once`, until no job waits that can run here, and all are over.

        Raises FailedPrecondition with `once` while the scheduler takes no jobs, PermissionDenied or Unimplemented when
        the server does, Unauthenticated when it refuses the secret and there is no other, and JournalUnusable: without
        the journal a job could run twice. A full disk is waited for.
        """
        self._wait_seconds = 0 if once else WAIT_SECONDS
        self._listener.start()
        try:
            self._run(once=once)
        finally:
            self._listener.stop()
            self._senders.stop()
            self._staging.stop()

    def _run(self, *, once: bool) -> None:
        while not self._draining and not (once and self._has_nothing_to_do()):
            began_at = time.monotonic()
            if not self.step():
                self._rest(min(self._context.settings.interval_seconds, self._monitor.seconds_to_poll()))
            if self._hand_over.fills_by_itself():
                time.sleep(max(0.0, BETWEEN_ROUNDS_SECONDS - (time.monotonic() - began_at)))
        self._acceptor.withdraw()
        self._rejecter.withdraw()
        self._hand_over.finish()
        for _ in range(LAST_ROUNDS):
            if not self.step() or self._round.has_trouble():
                break
        _log.info("stopped; %d jobs go on without the agent", len(self._held_jobs))
        if once and not self._draining and self._reporter.not_ready and not self._acceptor.found_nothing:
            raise FailedPrecondition(f"jobs may wait that cannot run now: {in_one_line(self._reporter.not_ready)}")

    def drain(self) -> None:
        """Take no more jobs, leave running ones alone, report what is known, and return. Safe in a signal handler."""
        self._draining = True
        self._wake()

    def step(self) -> bool:
        moved = self._round.run()
        self._last_round_at = self._context.wall_clock()
        return moved

    def _accept(self) -> bool:
        return self._may_ask() and self._acceptor.step(wait_seconds=self._wait_seconds)

    def _reject(self) -> bool:
        return self._may_ask() and self._rejecter.step()

    def _withdraw(self) -> bool:
        """While it drains, no agent would see what came of it."""
        return not self._draining and self._withdrawal.withdraw()

    def _may_ask(self) -> bool:
        return not self._draining and self._is_reconciled()

    def _is_reconciled(self) -> bool:
        return not self._recovery.needed and self._held_jobs.index.is_reconciled()

    def _has_nothing_to_do(self) -> bool:
        cannot = bool(self._reporter.not_ready) and not self._round.has_trouble()
        return self._rejecter.has_seen_queue and not len(self._held_jobs) and (self._acceptor.found_nothing or cannot)

    def _look_now(self) -> None:
        self._monitor.is_due = True
        self._wake()

    def _wake(self) -> None:
        self._wakeups.put(None)

    def _wait_for_wakeup(self, seconds: float) -> None:
        """Wake-ups that come together make one round."""
        with suppress(Empty):
            self._wakeups.get(timeout=seconds)
            while True:
                self._wakeups.get_nowait()
