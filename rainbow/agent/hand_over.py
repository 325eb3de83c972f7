"""Hands accepted jobs to the scheduler: each once, whatever crashes."""

import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

from rainbow.agent.context import AgentContext, Checkpoint
from rainbow.agent.held_jobs import HeldJob, HeldJobs
from rainbow.agent.reporter import Reporter
from rainbow.agent.states import Desired, Stage
from rainbow.agent.variables import with_variables
from rainbow.executors.endings import cancelled, ended
from rainbow.executors.executor import Ending, NotTaken, Progress, SchedulerSilent, WorkRefused
from rainbow.specs import Work
from rainbow.system.disk_space import DiskFull, is_full
from rainbow.telemetry import traces
from rainbow.telemetry.lines import Line

_log = logging.getLogger("rainbow.agent")


class HandOver:
    """A job is announced to the server before the scheduler gets it: from then on the server never queues it again on
    its own. It is handed over only while a third of its lease is left, which is longer than that takes.
    """

    def __init__(self, context: AgentContext, held_jobs: HeldJobs, reporter: Reporter) -> None:
        self._context = context
        self._held_jobs = held_jobs
        self._reporter = reporter
        self._at_once = context.executor.access.at_once
        self._threads = _started_threads(self._at_once)

    def settle(self) -> bool:
        in_doubt = [held for held in self._held_jobs if held.stage is Stage.IN_DOUBT]
        if not in_doubt:
            return False
        found = self._context.executor.find([held.key for held in in_doubt])
        with self._held_jobs.together():
            for held in in_doubt:
                self._settle(held, found.get(held.key))
        return True

    def _settle(self, held: HeldJob, native_id: str | None) -> None:
        if native_id is not None:
            self._held_jobs.submitted(held, native_id)
        elif held.handover_error:
            self._held_jobs.ended(held, _failed(held.handover_error))
        else:
            # What an earlier agent announced has to be announced again.
            held.move(Stage.ANNOUNCED if held.last_report else Stage.PREPARED)

    def prepare(self) -> bool:
        """Note which jobs are about to be handed over, and end those that can never run here."""
        new = [held for held in self._held_jobs if held.stage is Stage.ACCEPTED and held.desired is not Desired.ABANDON]
        if self._is_kept_waiting(new):
            return False
        with self._held_jobs.together():
            ready = [held for held in new if self._is_ready(held)]
        return self._prepared(ready) or any(held.is_over for held in new)

    def _is_ready(self, held: HeldJob) -> bool:
        """Ends what will not be handed over."""
        if held.desired is Desired.CANCEL:
            self._held_jobs.ended(held, cancelled())
            return False
        try:
            return not (self._refused(held) or self._has_run(held))
        except (DiskFull, NotTaken) as wait:
            held.waiting_reason = wait.message
            return False

    def _prepared(self, jobs: Sequence[HeldJob]) -> bool:
        """On a full disk jobs stay accepted, so that they can wait elsewhere when this agent falls silent."""
        short = ""
        try:
            if jobs:
                self._held_jobs.prepared(jobs)
        except DiskFull as full:
            short = full.message
        for held in jobs:
            held.waiting_reason = short
        return bool(jobs) and not short

    def _has_run(self, held: HeldJob) -> bool:
        """Whether another attempt, or another job, had the signature; it is this one's from now on if none did.

        Raises DiskFull while it cannot be noted which did.
        """
        signatures = self._context.signatures
        if signatures and (short := self._held_jobs.shortage()):
            raise DiskFull(short)
        refusal = signatures.claim(held.entry, self._context.clock()) if signatures else ""
        if refusal:
            _log.warning(Line("refused", job=held.entry.jobid, reason=refusal))
            self._held_jobs.ended(held, _refused(refusal))
        return bool(refusal)

    def submit(self) -> bool:
        """Hand over what is announced, until a heartbeat is due.

        Every job passes here on its way to the scheduler, so rules and policy are checked here for the last time.
        """
        with self._held_jobs.together():
            return self._submit_in_turn(sorted(filter(self._may_go, self._held_jobs), key=_tried_at))

    def _submit_in_turn(self, ready: Sequence[HeldJob]) -> bool:
        """As many at once as the scheduler's adapter can.

        What the scheduler took is noted after the last one: were the agent killed before, it would be asked.
        """
        moved = False
        # What the scheduler has just not taken makes way for the others: a user may have reached a limit.
        not_taken: dict[str, NotTaken] = {}
        left = [] if self._is_kept_waiting(ready) else list(ready)
        while left and not (moved and self._reporter.is_late()):
            batch, left = left[: self._at_once], left[self._at_once :]
            due = [held for held in batch if held.entry.work.owner not in not_taken]
            moved = moved or bool(due)
            not_taken |= self._submit_at_once([held for held in due if not self._refused(held)])
        if not_taken:
            raise next(iter(not_taken.values()))
        return moved

    def _submit_at_once(self, jobs: Sequence[HeldJob]) -> dict[str, NotTaken]:
        """By owner, what was not taken. Raises what went wrong once it is known what became of each: one that is still
        on its way to the scheduler would be handed over again.
        """
        not_taken: dict[str, NotTaken] = {}
        failures: list[Exception] = []
        for held, answer in [(held, self._begin(held)) for held in jobs]:
            try:
                self._submit(held, answer)
            except NotTaken as wait:
                not_taken[held.entry.work.owner] = wait
            except Exception as failure:
                failures.append(failure)
        if failures:
            raise failures[0]
        return not_taken

    def _begin(self, held: HeldJob) -> Callable[[], str]:
        """Hand a job over, in a thread where several are handed over at once; returns what waits for the answer."""
        held.move(Stage.IN_DOUBT)
        try:
            work = self._work(held)
        except Exception as error:
            return partial(_raise, error)
        if self._at_once == 1:
            return partial(self._ask_scheduler, held, work)
        return self._threads.submit(self._ask_scheduler, held, work).result

    def _work(self, held: HeldJob) -> Work:
        """The job's work as the scheduler gets it."""
        entry = held.entry
        here = self._context.here(entry.work)
        here = replace(here, secret_values=self._context.secrets.values(here))
        cluster = self._context.client.cluster
        return with_variables(here, jobid=entry.jobid, attempt=entry.attempt, cluster=cluster)

    def _is_kept_waiting(self, jobs: Sequence[HeldJob]) -> bool:
        """Whether the file of persons cannot be used now: no job runs as another meanwhile, nor is it refused."""
        fault = self._context.fault() if jobs else ""
        for held in jobs if fault else ():
            held.waiting_reason = fault
        return bool(fault)

    def _may_go(self, held: HeldJob) -> bool:
        if held.stage is not Stage.ANNOUNCED or held.desired is not Desired.RUN or held.renewed_at is None:
            return False
        return self._context.clock() - held.renewed_at < self._context.settings.lease * 2 / 3

    def _refused(self, held: HeldJob) -> bool:
        if refusal := self._context.refusal(held.entry.work):
            _log.info(Line("refused", job=held.entry.jobid, reason=refusal))
            self._end_refused(held, refusal)
        return bool(refusal)

    def _submit(self, held: HeldJob, answer: Callable[[], str]) -> None:
        try:
            native_id = answer()
        except WorkRefused as refusal:
            self._refuse(held, refusal.message)
        except SchedulerSilent as silence:
            held.tried_at, held.waiting_reason = self._context.clock(), silence.message
            held.may_arrive = held.may_arrive or not isinstance(silence, NotTaken)
            raise
        except Exception as error:
            if is_full(error):
                held.waiting_reason = "disk full"
                raise DiskFull(f"disk full: cannot hand over job {held.entry.jobid}") from error
            # A bug that this job meets holds up no other.
            _log.exception(Line("cannot hand over", job=held.entry.jobid))
            held.handover_error = f"it could not be handed over: {type(error).__name__}: {error}"
        else:
            self._context.checkpoint(Checkpoint.SUBMITTED)
            held.waiting_reason = ""
            self._held_jobs.submitted(held, native_id)
            _log.info(Line("handed over", job=held.entry.jobid, key=held.key, native_id=native_id))

    def _ask_scheduler(self, held: HeldJob, work: Work) -> str:
        """The scheduler's id of the job. Also a hand-over that fails is a span of the job's trace."""
        span = traces.begin("hand over", "internal", parent=held.traceparent, job=held.entry.jobid, key=held.key)
        try:
            native_id = self._context.executor.submit(work, held.key)
        except Exception as error:
            span.end(error=type(error).__name__)
            raise
        span.end(attributes={"native_id": native_id})
        return native_id

    def _refuse(self, held: HeldJob, words: str) -> None:
        _log.warning(Line("refused by the scheduler", job=held.entry.jobid, reason=words))
        self._end_refused(held, words)

    def _end_refused(self, held: HeldJob, words: str) -> None:
        """What may still arrive at the scheduler is stopped there, and runs nowhere else: it may have started."""
        if not held.may_arrive:
            self._held_jobs.ended(held, _refused(words))
            return
        self._context.executor.cancel([held.entry.ticket])
        self._held_jobs.ended(held, _failed(words))


def _started_threads(number: int) -> ThreadPoolExecutor:
    """The executor queues work before it starts a thread for it: where that fails, the work would be done later."""
    threads = ThreadPoolExecutor(number, thread_name_prefix="hand over")
    all_there = threading.Barrier(number)
    for started in [threads.submit(all_there.wait) for _ in range(number)]:
        started.result()
    return threads


def _tried_at(held: HeldJob) -> datetime:
    return held.tried_at or held.accepted_at or datetime.min.replace(tzinfo=UTC)


def _raise(error: Exception) -> str:
    raise error


def _failed(reason: str) -> Progress:
    return ended(Ending.FAILED, reason=reason)


def _refused(reason: str) -> Progress:
    return ended(Ending.REFUSED, reason=reason)
