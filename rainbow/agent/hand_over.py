"""Hands accepted jobs to the scheduler: each once, whatever crashes."""

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from rainbow.agent.context import AgentContext
from rainbow.agent.held_job import HeldJob
from rainbow.agent.held_jobs import HeldJobs
from rainbow.agent.reporter import Reporter
from rainbow.agent.staging import Staging
from rainbow.agent.states import NOT_HANDED_OVER, Desired, Stage
from rainbow.agent.submission import Submission
from rainbow.executors.endings import cancelled
from rainbow.executors.executor import NotTaken, WorkRefused
from rainbow.specs import Work
from rainbow.system.disk_space import DiskFull
from rainbow.telemetry.lines import Line

_log = logging.getLogger("rainbow.agent")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Turn:
    """Jobs that are handed over at the same time; `together`: by one call."""

    jobs: Sequence[HeldJob]
    together: bool = False


class HandOver:
    """A job is announced to the server before the scheduler gets it: from then on the server never queues it again on
    its own. It is handed over only while a third of its lease is left, which is longer than that takes.
    """

    def __init__(
        self,
        context: AgentContext,
        held_jobs: HeldJobs,
        reporter: Reporter,
        staging: Staging,
        *,
        tell: Callable[[], None],
    ) -> None:
        self._context = context
        self._held_jobs = held_jobs
        self._reporter = reporter
        self._staging = staging
        self._submission = Submission(context, held_jobs, staging, tell=tell)

    def settle(self) -> bool:
        in_doubt = [held for held in self._held_jobs.index.in_stages((Stage.IN_DOUBT,)) if held.is_in_doubt]
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
            self._submission.end_failed(held, held.handover_error)
        else:
            # What an earlier agent announced has to be announced again.
            held.move(Stage.ANNOUNCED if held.last_report else Stage.PREPARED)

    def prepare(self) -> bool:
        """Note which jobs are about to be handed over, and end those that can never run here."""
        index = self._held_jobs.index
        self._staging.forget({held.key for held in index.in_stages((*NOT_HANDED_OVER, Stage.IN_DOUBT))})
        new = [held for held in index.in_stages((Stage.ACCEPTED,)) if held.desired is not Desired.ABANDON]
        if self._is_kept_waiting(new):
            return False
        with self._held_jobs.together():
            ready = [held for held in new if self._is_ready(held)]
        return self._prepared(ready) or any(held.is_over for held in new)

    def _is_ready(self, held: HeldJob) -> bool:
        """Ends what will not be handed over, but what the scheduler has to be asked to stop first."""
        if held.desired is Desired.CANCEL:
            if not held.may_arrive:
                self._held_jobs.ended(held, cancelled())
            return False
        try:
            # Before it is announced: while it waits for its files, it may still go back to the queue.
            return not self._refused(held) and self._staging.has_all(held) and not self._has_run(held)
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
        refusal = signatures.claim(held.entry, self._context.wall_clock()) if signatures else ""
        if refusal:
            _log.warning(Line("refused", job=held.entry.jobid, reason=refusal))
            self._submission.end_refused(held, refusal)
        return bool(refusal)

    def collect(self) -> bool:
        """Note what became of what was handed over in the background."""
        with self._held_jobs.together():
            return self._submission.collect()

    def fills_by_itself(self) -> bool:
        """Whether jobs wait in the background for others to end."""
        return self._submission.has_ready()

    def finish(self) -> None:
        """Begin no more of what is to be handed over in the background, and wait for what was begun."""
        self._submission.finish()

    def submit(self) -> bool:
        """Hand over what is announced, until a heartbeat is due.

        Every job passes here on its way to the scheduler, so rules and policy are checked here for the last time.
        """
        announced = self._held_jobs.index.in_stages((Stage.ANNOUNCED,))
        with self._held_jobs.together():
            return self._submit_in_turn(sorted(filter(self._may_go, announced), key=_tried_at))

    def _submit_in_turn(self, ready: Sequence[HeldJob]) -> bool:
        """As many at once as the scheduler's adapter can.

        What the scheduler took is noted after the last one: were the agent killed before, it would be asked.
        """
        willing = [] if self._is_kept_waiting(ready) else [held for held in ready if not self._refused(held)]
        moved = any(held.is_over for held in ready)
        if self._context.executor.access.waits_for_room:
            return self._submission.begin(willing) or moved
        # What the scheduler has just not taken makes way for the others: a user may have reached a limit.
        not_taken: dict[str, NotTaken] = {}
        for turn in self._turns(willing):
            if moved and self._reporter.is_late():
                break
            due = [held for held in turn.jobs if held.entry.work.owner not in not_taken]
            moved = moved or bool(due)
            hand_over = self._submission.together if turn.together and len(due) > 1 else self._submission.at_once
            not_taken |= hand_over(due)
        if not_taken:
            raise next(iter(not_taken.values()))
        return moved

    def _turns(self, ready: Sequence[HeldJob]) -> list[_Turn]:
        """In the order of the first job of each."""
        together = [_Turn(jobs=jobs, together=True) for jobs in self._batches(ready)]
        left = {held.key for turn in together for held in turn.jobs}
        alone = [held for held in ready if held.key not in left]
        singles = [_Turn(jobs=jobs) for jobs in self._submission.in_turns(alone)]
        return sorted([*together, *singles], key=lambda turn: _tried_at(turn.jobs[0]))

    def _batches(self, ready: Sequence[HeldJob]) -> list[list[HeldJob]]:
        """What the scheduler takes together."""
        found = {held.key: held for held in ready if not held.goes_alone}
        works = dict[str, Work]()
        for key, held in found.items():
            with suppress(WorkRefused, NotTaken):
                works[key] = self._context.here(held.entry.work)
        return [[found[key] for key in batch] for batch in self._context.executor.batches(works)]

    def _is_kept_waiting(self, jobs: Sequence[HeldJob]) -> bool:
        """Whether the file of persons cannot be used now: no job runs as another meanwhile, nor is it refused."""
        fault = self._context.fault() if jobs else ""
        for held in jobs if fault else ():
            held.waiting_reason = fault
        return bool(fault)

    def _may_go(self, held: HeldJob) -> bool:
        if held.stage is not Stage.ANNOUNCED or held.desired is not Desired.RUN or held.renewed_at is None:
            return False
        if not (self._staging.has_all(held) or self._staging.refusal(held)):
            return False
        return self._context.clock() - held.renewed_at < self._context.settings.lease * 2 / 3

    def _refused(self, held: HeldJob) -> bool:
        if refusal := self._context.refusal(held.entry.work) or self._staging.refusal(held):
            _log.info(Line("refused", job=held.entry.jobid, reason=refusal))
            self._submission.end_refused(held, refusal)
        return bool(refusal)


def _tried_at(held: HeldJob) -> datetime:
    return held.tried_at or held.accepted_at or datetime.min.replace(tzinfo=UTC)
