"""Held jobs by what the duties of a round look for, so that jobs of which there is no news cost a round nothing."""

import heapq
import itertools
from collections.abc import Collection
from datetime import UTC, datetime

from rainbow.agent.held_job import HeldJob
from rainbow.agent.states import IN_SCHEDULER, Desired, Stage


class HeldIndex:
    """Jobs say themselves when they change. Each part is in the order in which jobs came into it."""

    def __init__(self) -> None:
        self._jobs: dict[str, HeldJob] = {}
        self._stages: dict[str, Stage] = {}
        self._by_stage: dict[Stage, dict[str, HeldJob]] = {stage: {} for stage in Stage}
        self._unwanted: dict[str, HeldJob] = {}
        self._unconfirmed: dict[str, HeldJob] = {}
        self._impatient: dict[str, HeldJob] = {}
        self._news: dict[str, HeldJob] = {}
        self._arrived: set[str] = set()
        # When each was reported last; what it was since is left in.
        self._renewals: list[tuple[datetime, int, HeldJob]] = []
        # Up to here they have been taken out.
        self._renewed_until = datetime.min.replace(tzinfo=UTC)
        self._numbers = itertools.count()

    def __len__(self) -> int:
        return len(self._jobs)

    def get(self, key: str) -> HeldJob | None:
        return self._jobs.get(key)

    def all(self) -> list[HeldJob]:
        return list(self._jobs.values())

    def add(self, held: HeldJob) -> None:
        self._jobs[held.key] = held
        if held.entry.work.start_within_seconds:
            self._impatient[held.key] = held
        self._renew(held)
        self._sort(held)
        held.changed = self._changed

    def remove(self, held: HeldJob) -> None:
        held.changed = None
        del self._jobs[held.key]
        del self._by_stage[self._stages.pop(held.key)][held.key]
        for part in (self._unwanted, self._unconfirmed, self._impatient, self._news):
            part.pop(held.key, None)
        self._arrived.discard(held.key)

    def in_stages(self, stages: Collection[Stage]) -> list[HeldJob]:
        return [held for stage in Stage if stage in stages for held in self._by_stage[stage].values()]

    def count(self, stages: Collection[Stage]) -> int:
        return sum(len(self._by_stage[stage]) for stage in stages)

    def unwanted(self) -> list[HeldJob]:
        """Those that the server wants to be stopped."""
        return list(self._unwanted.values())

    def impatient(self) -> list[HeldJob]:
        """Those that have to start within a time."""
        return list(self._impatient.values())

    def is_reconciled(self) -> bool:
        """Whether the scheduler knows each, or does not, and the server has counted a report of each that it wants."""
        in_doubt = self._by_stage[Stage.IN_DOUBT].values()
        wanted = (held for held in self._unconfirmed.values() if held.desired is not Desired.ABANDON)
        return not any(held.is_in_doubt for held in in_doubt) and next(wanted, None) is None

    def has_arrived(self) -> bool:
        """Whether the scheduler got jobs since `arrivals_seen`."""
        return bool(self._arrived)

    def arrivals_seen(self) -> None:
        self._arrived.clear()

    def news(self, renewed_until: datetime) -> list[HeldJob]:
        """Those that may have changed, and those that were last reported until then. Each stays until `no_news`."""
        self._renewed_until = max(self._renewed_until, renewed_until)
        while self._renewals and self._renewals[0][0] <= renewed_until:
            renewed_at, _, held = heapq.heappop(self._renewals)
            if self._jobs.get(held.key) is held and held.renewed_at == renewed_at:
                self._news[held.key] = held
        return list(self._news.values())

    def no_news(self, held: HeldJob) -> None:
        self._news.pop(held.key, None)
        # The clock was set back since it was taken out: its heartbeat will be due again.
        if held.renewed_at is not None and held.renewed_at <= self._renewed_until:
            self._renew(held)

    def _changed(self, held: HeldJob, name: str) -> None:
        if name == "renewed_at":
            self._renew(held)
        self._sort(held)

    def _renew(self, held: HeldJob) -> None:
        if held.renewed_at is not None:
            heapq.heappush(self._renewals, (held.renewed_at, next(self._numbers), held))

    def _sort(self, held: HeldJob) -> None:
        self._news[held.key] = held
        before = self._stages.get(held.key)
        if before is not held.stage:
            if before is not None:
                del self._by_stage[before][held.key]
            self._stages[held.key] = held.stage
            self._by_stage[held.stage][held.key] = held
            if held.stage in IN_SCHEDULER and before not in IN_SCHEDULER:
                self._arrived.add(held.key)
        _put(self._unwanted, held, held.desired is not Desired.RUN)
        _put(self._unconfirmed, held, held.last_report is None)


def _put(part: dict[str, HeldJob], held: HeldJob, belongs: bool) -> None:
    if belongs:
        part.setdefault(held.key, held)
    else:
        part.pop(held.key, None)
