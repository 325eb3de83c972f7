"""The jobs that an agent holds. Each step is in the journal before anything follows from it."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from rainbow.agent.post import Checkpoint
from rainbow.executors import Progress, Ticket
from rainbow.journal import Entry, Journal, Step
from rainbow.reports import JobReport

# The files of a job stay so long after the server knows its end.
KEPT = timedelta(minutes=5)


@dataclass(slots=True, kw_only=True)
class Held:
    """A job, as the journal has it, and what need not outlive the agent.

    `told` is the last report that the server counted, `renewed_at` when that was sent. `unsure`: the scheduler may
    have the job, ask it. `mishap` is what went wrong in handing it over. `waits_for` is why the scheduler does not
    start it. `wanted_gone` since the server asked to stop it; `unwanted`: the server wants to hear no more of it.
    """

    entry: Entry
    told: JobReport | None = None
    renewed_at: datetime | None = None
    unsure: bool = False
    mishap: str = ""
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


class Holdings:
    def __init__(
        self, journal: Journal, *, clock: Callable[[], datetime], checkpoint: Callable[[Checkpoint], None]
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._checkpoint = checkpoint
        self._jobs: dict[str, Held] = {}
        self.ends = 0
        for entry in journal.unreported():
            self._jobs[entry.key] = Held(entry=entry, unsure=entry.step == Step.SUBMITTING)

    def __iter__(self) -> Iterator[Held]:
        return iter(list(self._jobs.values()))

    def __len__(self) -> int:
        return len(self._jobs)

    def __contains__(self, key: object) -> bool:
        return key in self._jobs

    def accepted(self, entries: Iterable[Entry], *, renewed_at: datetime) -> list[Held]:
        """Those of them that are new; the journal may know of an attempt that it is over and reported."""
        entries = list(entries)
        self._journal.accepted(entries, now=self._clock())
        known = {entry.key for entry in self._journal.unreported()}
        new = [Held(entry=entry, renewed_at=renewed_at) for entry in entries if entry.key in known - self._jobs.keys()]
        self._jobs |= {held.key: held for held in new}
        self._checkpoint(Checkpoint.ACCEPTED_NOTED)
        return new

    def submitting(self, held: Held) -> None:
        self._journal.submitting(held.key, now=self._clock())
        held.entry = replace(held.entry, step=Step.SUBMITTING)
        self._checkpoint(Checkpoint.SUBMITTING_NOTED)

    def submitted(self, held: Held, native_id: str) -> None:
        self._journal.submitted(held.key, native_id, now=self._clock())
        held.entry = replace(held.entry, step=Step.SUBMITTED, native_id=native_id)
        held.unsure = False
        self._checkpoint(Checkpoint.SUBMITTED_NOTED)

    def started(self, held: Held, progress: Progress) -> None:
        self._journal.running(held.key, progress, now=self._clock())
        held.entry = replace(held.entry, step=Step.RUNNING, progress=progress)
        self._checkpoint(Checkpoint.STARTED_NOTED)

    def ended(self, held: Held, progress: Progress) -> None:
        self._journal.ended(held.key, progress, now=self._clock())
        held.entry = replace(held.entry, step=Step.ENDED, progress=progress)
        held.unsure = False
        self.ends += 1
        self._checkpoint(Checkpoint.ENDED_NOTED)

    def let_go(self, jobs: Iterable[Held]) -> None:
        """Nothing is left to be done for these."""
        keys = [held.key for held in jobs]
        self._journal.reported(keys, now=self._clock())
        for key in keys:
            del self._jobs[key]
        self._checkpoint(Checkpoint.REPORTED_NOTED)

    def forgotten(self) -> list[Ticket]:
        """Those that were let go some time ago, this once: their files may go."""
        return self._journal.prune(before=self._clock() - KEPT)
