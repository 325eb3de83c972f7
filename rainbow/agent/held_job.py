"""A job that an agent holds."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from rainbow.agent.journal import Entry
from rainbow.agent.states import IN_SCHEDULER, NOT_HANDED_OVER, Desired, Stage, check_move
from rainbow.executors.executor import Ending, Ticket
from rainbow.reports import JobReport

_TOLD = frozenset({"entry", "stage", "desired", "waiting_reason", "last_report", "renewed_at"})


@dataclass(slots=True, kw_only=True)
class HeldJob:
    """`last_report` is the last that the server counted since this agent started, `last_looks` its `looks` then, and
    `renewed_at` when it was sent. `handover_error` is what went wrong in handing over. `waiting_reason`: why the
    scheduler does not start it. `cancelled_at`: when the scheduler was last asked to stop it. `missing_since`: since
    when it does not know the job. `accepted_at`: after a restart, when the journal last noted something of it.
    `next_withdrawal`: not before then is the scheduler asked again to withdraw it. `may_arrive`: a submission without
    an answer may still reach it. `goes_alone`: something went wrong when it was handed over with others. `under_way`:
    a thread is handing it over. `lacks_room`: when that was last tried others had what it needs. `traceparent`: the
    span of its submission, unknown to an agent that started since. `changed` is told the name of what changes a report
    of it, or the part of the held jobs in which it is.
    """

    changed: Callable[["HeldJob", str], None] | None = None
    entry: Entry
    stage: Stage
    desired: Desired = Desired.RUN
    last_report: JobReport | None = None
    last_looks: tuple[object, ...] = ()
    renewed_at: datetime | None = None
    handover_error: str = ""
    waiting_reason: str = ""
    cancelled_at: datetime | None = None
    missing_since: datetime | None = None
    accepted_at: datetime | None = None
    next_withdrawal: datetime | None = None
    tried_at: datetime | None = None
    may_arrive: bool = False
    goes_alone: bool = False
    under_way: bool = False
    lacks_room: bool = False
    traceparent: str = ""
    key: str = field(init=False)
    ticket: Ticket = field(init=False)

    def __post_init__(self) -> None:
        self.key = self.entry.key

    def __setattr__(self, name: str, value: object) -> None:
        """One place, which no assignment passes by: a change that went unseen would never be reported."""
        object.__setattr__(self, name, value)
        if name == "entry":
            self.ticket = self.entry.ticket
        if name in _TOLD and self.changed is not None:
            self.changed(self, name)

    @property
    def looks(self) -> tuple[object, ...]:
        """All that a report of it is made from."""
        return self.entry, self.stage, self.waiting_reason, self.desired, self.last_report is None

    @property
    def is_handed_over(self) -> bool:
        return self.stage not in NOT_HANDED_OVER

    @property
    def is_in_scheduler(self) -> bool:
        return self.stage in IN_SCHEDULER

    @property
    def is_in_doubt(self) -> bool:
        """Whether the scheduler has to be asked for it."""
        return self.stage is Stage.IN_DOUBT and not self.under_way

    @property
    def is_over(self) -> bool:
        return self.stage is Stage.ENDED

    @property
    def is_given_back(self) -> bool:
        return bool(self.entry.progress and self.entry.progress.ending in (Ending.REFUSED, Ending.WITHDRAWN))

    @property
    def never_started(self) -> bool:
        """Whether that is certain, so that another attempt may run."""
        return self.is_given_back or not (self.is_handed_over or self.may_arrive)

    @property
    def is_done(self) -> bool:
        """Nothing is left to report, and the scheduler has nothing of it, nor will it."""
        never_there = not (self.is_handed_over or self.may_arrive)
        return self.desired is Desired.ABANDON and (self.is_over or never_there)

    def is_overdue(self, now: datetime) -> bool:
        """Whether it should have started by now, and is still wanted."""
        seconds = self.entry.work.start_within_seconds
        if not (seconds and self.accepted_at and self.desired is Desired.RUN):
            return False
        return now - self.accepted_at >= timedelta(seconds=seconds)

    def move(self, stage: Stage) -> None:
        """For a move that the journal does not note. Raises ValueError for one that no job makes."""
        check_move(self.stage, stage)
        self.stage = stage

    def to_be_cancelled(self) -> None:
        if self.desired is Desired.RUN:
            self.desired = Desired.CANCEL

    def to_be_abandoned(self) -> None:
        self.desired = Desired.ABANDON
