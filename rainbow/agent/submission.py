"""Gives jobs to the scheduler, and notes what it said to each."""

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import replace
from datetime import datetime
from functools import partial

from rainbow.agent.context import AgentContext, Checkpoint
from rainbow.agent.held_job import HeldJob
from rainbow.agent.held_jobs import HeldJobs
from rainbow.agent.staging import Staging
from rainbow.agent.states import Desired, Stage
from rainbow.agent.variables import with_variables
from rainbow.executors.endings import failed, refused
from rainbow.executors.executor import NoRoom, NotTaken, SchedulerSilent, WorkRefused
from rainbow.specs import Work
from rainbow.system.disk_space import DiskFull, is_full
from rainbow.telemetry import traces
from rainbow.telemetry.lines import Line

# So many are given to the threads, that none of them waits for the next round.
MOST_UNDER_WAY = 32

_log = logging.getLogger("rainbow.agent")


class Submission:
    """Jobs that are announced are in doubt from here on, until the scheduler says what became of them.

    `tell` is called in another thread when one that was begun was answered.
    """

    def __init__(
        self, context: AgentContext, held_jobs: HeldJobs, staging: Staging, *, tell: Callable[[], None]
    ) -> None:
        self._context = context
        self._held_jobs = held_jobs
        self._staging = staging
        self._at_once = context.executor.access.at_once
        self._threads = _started_threads(self._at_once)
        self._tell = tell
        self._under_way: dict[str, tuple[HeldJob, Future[str]]] = {}

    def in_turns(self, jobs: Sequence[HeldJob]) -> Iterator[Sequence[HeldJob]]:
        """For `at_once`."""
        return (jobs[first : first + self._at_once] for first in range(0, len(jobs), self._at_once))

    def work(self, held: HeldJob) -> Work:
        """The job's work as the scheduler gets it. Raises WorkRefused and NotTaken."""
        entry = held.entry
        here = self._context.here(entry.work)
        here = replace(here, secret_values=self._context.secrets.values(here), staged=self._staging.folder_of(held))
        cluster = self._context.client.cluster
        return with_variables(here, jobid=entry.jobid, attempt=entry.attempt, cluster=cluster)

    def at_once(self, jobs: Sequence[HeldJob]) -> dict[str, NotTaken]:
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

    def begin(self, jobs: Sequence[HeldJob]) -> bool:
        """Hand jobs over in the background, as many as are not too many; whether there were any."""
        chosen = jobs[: max(0, MOST_UNDER_WAY - len(self._under_way))]
        for held in chosen:
            held.move(Stage.IN_DOUBT)
            held.under_way = True
            answer = self._begun(held)
            self._under_way[held.key] = held, answer
            answer.add_done_callback(lambda _: self._tell())
        return bool(chosen)

    def collect(self) -> bool:
        """Note what became of those that were begun; whether any is known. Raises what went wrong with one of them."""
        answered = [(held, answer) for held, answer in self._under_way.values() if answer.done()]
        failures: list[Exception] = []
        for held, answer in answered:
            del self._under_way[held.key]
            held.under_way = False
            if answer.cancelled():
                held.move(Stage.ANNOUNCED)
                continue
            try:
                self._submit(held, answer.result)
            except NoRoom:
                held.lacks_room = True
                held.move(Stage.ANNOUNCED)
            except Exception as failure:
                failures.append(failure)
        if failures:
            raise failures[0]
        return bool(answered)

    def has_ready(self) -> bool:
        """Whether more are under way than the threads hand over now."""
        return len(self._under_way) >= self._at_once

    def finish(self) -> None:
        """Wait for those that are begun; the others are given to the scheduler by the next agent."""
        answers = [answer for _, answer in self._under_way.values()]
        for answer in answers:
            answer.cancel()
        wait(answers)

    def _last_moment(self, held: HeldJob) -> datetime:
        """Until then it may be handed over. Later the server may take it for lost."""
        return (held.renewed_at or self._context.clock()) + self._context.settings.lease * 2 / 3

    def _begun(self, held: HeldJob) -> Future[str]:
        try:
            work = self.work(held)
        except Exception as error:
            failed_at_once = Future[str]()
            failed_at_once.set_exception(error)
            return failed_at_once
        return self._threads.submit(self._hand_over, held, work, self._last_moment(held))

    def _hand_over(self, held: HeldJob, work: Work, last_moment: datetime) -> str:
        if held.desired is not Desired.RUN:
            raise NoRoom("it is no longer wanted")
        if self._context.clock() >= last_moment:
            raise NoRoom("others took too long to be handed over")
        return self._ask_scheduler(held, work)

    def together(self, jobs: Sequence[HeldJob]) -> dict[str, NotTaken]:
        """Where the scheduler does not take all of them, it is given each by itself."""
        for held in jobs:
            held.move(Stage.IN_DOUBT)
        try:
            native_ids = self._ask_scheduler_together(jobs)
        except (WorkRefused, NotTaken):
            for held in jobs:
                held.move(Stage.ANNOUNCED)
            not_taken: dict[str, NotTaken] = {}
            for turn in self.in_turns(jobs):
                not_taken |= self.at_once([held for held in turn if held.entry.work.owner not in not_taken])
            return not_taken
        except SchedulerSilent as silence:
            for held in jobs:
                self._not_answered(held, silence)
            raise
        except Exception as error:
            for held in jobs:
                held.goes_alone = True
            if is_full(error):
                raise DiskFull(f"disk full: cannot hand over {len(jobs)} jobs") from error
            raise
        for held in jobs:
            if held.key in native_ids:
                self._handed_over(held, native_ids[held.key])
            else:
                held.goes_alone = True
                held.move(Stage.ANNOUNCED)
        return {}

    def _ask_scheduler_together(self, jobs: Sequence[HeldJob]) -> Mapping[str, str]:
        works = {held.key: self.work(held) for held in jobs}
        spans = {
            held.key: traces.begin("hand over", "internal", parent=held.traceparent, job=held.entry.jobid, key=held.key)
            for held in jobs
        }
        try:
            native_ids = self._context.executor.submit_together(works)
        except Exception as error:
            for span in spans.values():
                span.end(error=type(error).__name__)
            raise
        for key, span in spans.items():
            span.end(attributes={"native_id": native_ids.get(key, "")})
        return native_ids

    def _begin(self, held: HeldJob) -> Callable[[], str]:
        """Hand a job over, in a thread where several are handed over at once; returns what waits for the answer."""
        held.move(Stage.IN_DOUBT)
        try:
            work = self.work(held)
        except Exception as error:
            return partial(_raise, error)
        if self._at_once == 1:
            return partial(self._ask_scheduler, held, work)
        return self._threads.submit(self._ask_scheduler, held, work).result

    def _submit(self, held: HeldJob, answer: Callable[[], str]) -> None:
        try:
            native_id = answer()
        except WorkRefused as refusal:
            self._refuse(held, refusal.message)
        except SchedulerSilent as silence:
            self._not_answered(held, silence)
            raise
        except Exception as error:
            if is_full(error):
                held.waiting_reason = "disk full"
                raise DiskFull(f"disk full: cannot hand over job {held.entry.jobid}") from error
            # A bug that this job meets holds up no other.
            _log.exception(Line("cannot hand over", job=held.entry.jobid))
            held.handover_error = f"it could not be handed over: {type(error).__name__}: {error}"
        else:
            self._handed_over(held, native_id)

    def _handed_over(self, held: HeldJob, native_id: str) -> None:
        self._context.checkpoint(Checkpoint.SUBMITTED)
        held.waiting_reason, held.lacks_room = "", False
        self._held_jobs.submitted(held, native_id)
        _log.info(Line("handed over", job=held.entry.jobid, key=held.key, native_id=native_id))

    def _not_answered(self, held: HeldJob, silence: SchedulerSilent) -> None:
        held.tried_at, held.waiting_reason = self._context.clock(), silence.message
        held.may_arrive = held.may_arrive or not isinstance(silence, NotTaken)

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
        self.end_refused(held, words)

    def end_refused(self, held: HeldJob, words: str) -> None:
        """What may still arrive at the scheduler runs nowhere else: it may have started."""
        if held.may_arrive:
            self.end_failed(held, words)
        else:
            self._held_jobs.ended(held, refused(words))

    def end_failed(self, held: HeldJob, words: str) -> None:
        """What may still arrive at the scheduler is stopped there."""
        if held.may_arrive:
            self._context.executor.cancel([held.ticket])
        self._held_jobs.ended(held, failed(words))


def _started_threads(number: int) -> ThreadPoolExecutor:
    """The executor queues work before it starts a thread for it: where that fails, the work would be done later."""
    threads = ThreadPoolExecutor(number, thread_name_prefix="hand over")
    all_there = threading.Barrier(number)
    for started in [threads.submit(all_there.wait) for _ in range(number)]:
        started.result()
    return threads


def _raise(error: Exception) -> str:
    raise error
