"""The jobs that an agent holds. Each step is in the journal before anything follows from it."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from rainbow.agent.context import Checkpoint
from rainbow.agent.notes import Notes
from rainbow.disk import DiskFull
from rainbow.executors.executor import Progress, Ticket
from rainbow.journal import Done, Entry, Journal, Step
from rainbow.reports import JobReport

# The files of a job stay so long after the server knows its end.
KEPT = timedelta(minutes=5)


@dataclass(slots=True, kw_only=True)
class HeldJob:
    """A job, as the journal has it, and what need not outlive the agent.

    `told` is the last report that the server counted, `renewed_at` when that was sent. `unsure`: the scheduler may
    have the job, ask it. `handover_error` is what went wrong in handing over. `waits_for`: why the scheduler does not
    start it. `wanted_gone` since the server asked to stop it; `unwanted`: the server wants to hear no more of it.
    """

    entry: Entry
    told: JobReport | None = None
    renewed_at: datetime | None = None
    unsure: bool = False
    handover_error: str = ""
    waits_for: str = ""
    wanted_gone: bool = False
    unwanted: bool = False
    cancelled_at: datetime | None = None
    missing_since: datetime | None = None

    @property
    def key(self) -> str:
        return self.entry.key

    @property
    def handed_over(self) -> bool:
        return self.entry.step in (Step.SUBMITTED, Step.RUNNING)

    @property
    def is_over(self) -> bool:
        return self.entry.step >= Step.ENDED

    @property
    def is_waiting(self) -> bool:
        """It will take a place of its scheduler that is still free, as far as is known."""
        return self.entry.step < Step.RUNNING


class HeldJobs:
    def __init__(
        self, journal: Journal, *, clock: Callable[[], datetime], checkpoint: Callable[[Checkpoint], None]
    ) -> None:
        self._journal = journal
        self._notes = Notes()
        self._clock = clock
        self._checkpoint = checkpoint
        self._jobs: dict[str, HeldJob] = {}
        self._let_go = {done.ticket.key: done for done in journal.done()}
        self.ends = 0
        for entry in journal.unreported():
            self._jobs[entry.key] = HeldJob(entry=entry, unsure=entry.step == Step.SUBMITTING)

    def __iter__(self) -> Iterator[HeldJob]:
        return iter(list(self._jobs.values()))

    def __len__(self) -> int:
        return len(self._jobs)

    def __contains__(self, key: object) -> bool:
        return key in self._jobs

    def accepted(self, entries: Iterable[Entry], *, renewed_at: datetime) -> list[HeldJob]:
        """Those of them that are new; an attempt may be known as over and reported."""
        new = [entry for entry in entries if entry.key not in self._jobs and entry.key not in self._let_go]
        now = self._clock()
        self._notes.happened(lambda: self._journal.accepted(new, now=now))
        held = [HeldJob(entry=entry, renewed_at=renewed_at) for entry in new]
        self._jobs |= {job.key: job for job in held}
        self._checkpoint(Checkpoint.ACCEPTED_NOTED)
        return held

    def submitting(self, held: HeldJob) -> None:
        """Raises DiskFull where that cannot be noted, or little space is left."""
        if short := self._journal.shortage():
            raise DiskFull(short)
        self._notes.about_to_happen(lambda: self._journal.submitting(held.key, now=self._clock()))
        held.entry = replace(held.entry, step=Step.SUBMITTING)
        self._checkpoint(Checkpoint.SUBMITTING_NOTED)

    def submitted(self, held: HeldJob, native_id: str) -> None:
        now = self._clock()
        self._notes.happened(lambda: self._journal.submitted(held.key, native_id, now=now))
        held.entry = replace(held.entry, step=Step.SUBMITTED, native_id=native_id)
        held.unsure = False
        self._checkpoint(Checkpoint.SUBMITTED_NOTED)

    def started(self, held: HeldJob, progress: Progress) -> None:
        now = self._clock()
        self._notes.happened(lambda: self._journal.running(held.key, progress, now=now))
        held.entry = replace(held.entry, step=Step.RUNNING, progress=progress)
        self._checkpoint(Checkpoint.STARTED_NOTED)

    def ended(self, held: HeldJob, progress: Progress) -> None:
        now = self._clock()
        self._notes.happened(lambda: self._journal.ended(held.key, progress, now=now))
        held.entry = replace(held.entry, step=Step.ENDED, progress=progress)
        held.unsure = False
        self.ends += 1
        self._checkpoint(Checkpoint.ENDED_NOTED)

    def let_go(self, jobs: Iterable[HeldJob]) -> None:
        """Nothing is left to be done for these."""
        now, done = self._clock(), list(jobs)
        keys = [held.key for held in done]
        self._notes.happened(lambda: self._journal.reported(keys, now=now))
        for held in done:
            del self._jobs[held.key]
            self._let_go[held.key] = Done(ticket=held.entry.ticket, at=now)
        self._checkpoint(Checkpoint.REPORTED_NOTED)

    def to_be_forgotten(self) -> list[Ticket]:
        """Those that were let go some time ago, or at all where space is needed: their files may go."""
        until = self._clock() if self.shortage() else self._clock() - KEPT
        return [done.ticket for done in self._let_go.values() if done.at <= until]

    def forgotten(self, tickets: Iterable[Ticket]) -> None:
        """Nothing is kept of these any more."""
        keys = [ticket.key for ticket in tickets]
        for key in keys:
            del self._let_go[key]
        self._notes.happened(lambda: self._journal.drop(keys))

    def shortage(self) -> str:
        """Why the disk lets no more jobs be taken; empty where it does."""
        if not self._notes.are_complete():
            return "disk full: the agent's journal cannot be written"
        return self._journal.shortage()
