"""The jobs that an agent holds. Each move is in the journal before anything follows from it."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any

from rainbow.agent.context import Checkpoint
from rainbow.agent.held_index import HeldIndex
from rainbow.agent.held_job import HeldJob
from rainbow.agent.journal import Done, Entry, Journal
from rainbow.agent.required_signatures import RequiredSignatures
from rainbow.agent.states import AFTER_A_RESTART, STEPS, Stage, check_move
from rainbow.agent.steady_clock import utc_now
from rainbow.agent.write_queue import Write, WriteQueue
from rainbow.executors.executor import Ending, Progress, Ticket
from rainbow.specs import Work
from rainbow.system.disk_space import DiskFull

MOST_SUCCESSES = 1_000


class HeldJobs:
    def __init__(
        self,
        journal: Journal,
        *,
        clock: Callable[[], datetime],
        wall_clock: Callable[[], datetime] = utc_now,
        checkpoint: Callable[[Checkpoint], None],
        signatures: RequiredSignatures | None = None,
    ) -> None:
        self._journal = journal
        self._signatures = signatures
        self._writes = WriteQueue(journal.together)
        self._is_together = False
        self._passed: list[Checkpoint] = []
        self._clock = clock
        self._wall_clock = wall_clock
        self._checkpoint = checkpoint
        self._index = HeldIndex()
        now = clock()
        self._let_go = {done.ticket.key: _noted(done, now) for done in journal.done()}
        self.ends = 0
        self.returns = 0
        # What ended well, and when; a second's worth, or a bit more.
        self.successes: deque[tuple[datetime, Work]] = deque(maxlen=MOST_SUCCESSES)
        for entry in journal.unreported():
            self._index.add(_held(entry, accepted_at=min(entry.noted_at or now, now)))

    def __iter__(self) -> Iterator[HeldJob]:
        return iter(self._index.all())

    def __len__(self) -> int:
        return len(self._index)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self._index.get(key) is not None

    @property
    def index(self) -> HeldIndex:
        return self._index

    @contextmanager
    def together(self) -> Iterator[None]:
        """Note the moves inside with one fsync, when this ends: nothing may follow from them before."""
        self._is_together = True
        try:
            yield
        finally:
            self._is_together = False
            self._flush()

    def accepted(self, entries: Iterable[Entry], *, renewed_at: datetime) -> list[HeldJob]:
        """Returns the new ones; an attempt may be known, or over and reported."""
        new = [entry for entry in entries if entry.key not in self and entry.key not in self._let_go]
        now = self._clock()
        held = [_held(entry, accepted_at=now, renewed_at=renewed_at) for entry in new]
        for job in held:
            self._index.add(job)
        noted_at = self._wall_clock()
        self._note(lambda: self._journal.accepted(new, now=noted_at), Checkpoint.ACCEPTED_NOTED)
        return held

    def prepared(self, jobs: Sequence[HeldJob]) -> None:
        """With one fsync. Raises DiskFull where that cannot be noted, or little space is left, and then none moves."""
        for held in jobs:
            check_move(held.stage, Stage.PREPARED)
        if short := self._journal.shortage():
            raise DiskFull(short)
        self._writes.write_now(lambda: self._note_submitting(jobs))
        for held in jobs:
            _enter(held, Stage.PREPARED)
            self._checkpoint(Checkpoint.SUBMITTING_NOTED)

    def submitted(self, held: HeldJob, native_id: str) -> None:
        check_move(held.stage, Stage.SUBMITTED)
        now = self._wall_clock()
        _enter(held, Stage.SUBMITTED, native_id=native_id)
        self._note(lambda: self._journal.submitted(held.key, native_id, now=now), Checkpoint.SUBMITTED_NOTED)

    def started(self, held: HeldJob, progress: Progress) -> None:
        check_move(held.stage, Stage.RUNNING)
        now = self._wall_clock()
        _enter(held, Stage.RUNNING, progress=progress)
        self._note(lambda: self._journal.running(held.key, progress, now=now), Checkpoint.STARTED_NOTED)

    def ended(self, held: HeldJob, progress: Progress) -> None:
        check_move(held.stage, Stage.ENDED)
        now = self._wall_clock()
        _enter(held, Stage.ENDED, progress=progress)
        self.ends += 1
        if progress.ending is Ending.EXITED and progress.exit_code == 0:
            self.successes.append((self._clock(), held.entry.work))
        self._note(lambda: self._journal.ended(held.key, progress, now=now), Checkpoint.ENDED_NOTED)

    def runs(self, key: str) -> bool:
        """Whether more may come of the job; any thread may ask."""
        held = self._index.get(key)
        return held is not None and not held.is_over

    def let_go(self, jobs: Iterable[HeldJob]) -> None:
        now, noted_at, done = self._clock(), self._wall_clock(), list(jobs)
        for held in done if self._signatures else ():
            self._end_signature(held)
        keys = [held.key for held in done]
        self.returns += sum(held.is_given_back for held in done)
        for held in done:
            self._index.remove(held)
            self._let_go[held.key] = Done(ticket=held.entry.ticket, at=now)
        self._note(lambda: self._journal.reported(keys, now=noted_at), Checkpoint.REPORTED_NOTED)

    def _end_signature(self, held: HeldJob) -> None:
        """Before the journal lets the job go: until then the server says again what became of it."""
        if self._signatures:
            signatures, entry, never_started = self._signatures, held.entry, held.never_started
            self._writes.add(lambda: signatures.let_go(entry, never_started=never_started))

    @property
    def done(self) -> list[Done]:
        """Jobs that were let go and whose files are there, the earliest first."""
        return sorted(self._let_go.values(), key=lambda done: done.at)

    def forgotten(self, tickets: Iterable[Ticket]) -> None:
        keys = [ticket.key for ticket in tickets]
        for key in keys:
            del self._let_go[key]
        self._writes.add(lambda: self._journal.drop(keys))
        self._writes.flush()

    def shortage(self) -> str:
        """Why the disk lets no more jobs be taken; empty where it does."""
        if not self._writes.flush():
            return "disk full: the agent's journal cannot be written"
        return self._journal.shortage()

    def _note(self, write: Write, passed: Checkpoint) -> None:
        self._writes.add(write)
        self._passed.append(passed)
        if not self._is_together:
            self._flush()

    def _flush(self) -> None:
        self._writes.flush()
        passed, self._passed = self._passed, []
        for moment in passed:
            self._checkpoint(moment)

    def _note_submitting(self, jobs: Iterable[HeldJob]) -> None:
        for held in jobs:
            self._journal.submitting(held.key, now=self._wall_clock())


def _noted(done: Done, now: datetime) -> Done:
    """As an earlier agent noted it, whose clock may have been ahead."""
    return replace(done, at=min(done.at, now))


def _held(entry: Entry, *, accepted_at: datetime | None, renewed_at: datetime | None = None) -> HeldJob:
    stage = AFTER_A_RESTART[entry.step]
    return HeldJob(
        entry=entry,
        stage=stage,
        accepted_at=accepted_at,
        renewed_at=renewed_at,
        may_arrive=stage is Stage.IN_DOUBT,
    )


def _enter(held: HeldJob, stage: Stage, **noted: Any) -> None:
    held.move(stage)
    held.entry = replace(held.entry, step=STEPS[stage], **noted)
