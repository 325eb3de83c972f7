"""The next jobs that a cluster may take: its queues, merged.

Of most queues either all jobs fit a request or none do. Of the others, some jobs are looked at one by one: as many as
cost little, and at the next request the ones after these, so that none is passed over for ever.
"""

import heapq
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, NamedTuple

from clusters.bounds import Bounds
from clusters.facts import Facts
from clusters.matching import fits
from clusters.models import Cluster, Streak
from clusters.sql import as_datetime
from jobs.models import cores_of
from jobs.placement import DEMAND_FIELDS, demand_of
from jobs.specs import values_read
from jobs.sql.queues import ServedQueue, served_queues, waiting_in, waiting_in_only
from jobs.sql.statements import Row

# Looked at in a request, of all queues that hold both what fits and what does not; of one at least the second.
_LOOK_AT = 2_000
_LOOK_AT_LEAST = 20
_CHUNK = 250
_PLACE = ("priority", "id")
_EXAMINED = (*_PLACE, "submitted_by_id", "submitted_at", *DEMAND_FIELDS)

# As many rows are read whole whatever their size: a job may carry 128 KiB of text.
FEW = 50

# A place in a queue: the (priority, id) of a job.
Place = tuple[int, int]
# The columns that jobs of a queue are read with.
ColumnsOf = Callable[[ServedQueue], Sequence[str]]


class Next(NamedTuple):
    """The next job. `row` has the columns that were asked for; None if they are still to be read."""

    priority: int
    job_id: int
    queue: ServedQueue
    row: Row | None = None


def waiting(
    *, cluster_id: int, bounds: Bounds, plain: bool, columns_of: ColumnsOf, expected: int, now: datetime
) -> Iterator[Next]:
    """The jobs that the cluster may take now, highest priority first, then oldest first.

    Reads as it is consumed, from each queue about as many as are `expected` to be. `plain`: jobs.sql.queues.
    """
    request = _Request(
        cluster_id=cluster_id,
        bounds=bounds,
        plain=plain,
        columns_of=columns_of,
        now=now,
        expected=min(expected, _CHUNK),
    )
    return request.of_the_only_queue() or request.of_all_queues()


def _merged(queues: Sequence[ServedQueue], opened_by: Callable[[ServedQueue], Iterator[Next]]) -> Iterator[Next]:
    """The jobs of all queues in one order. A queue is opened when its first job may be the next of all."""
    unopened = list(reversed(queues))
    opened: list[tuple[int, int, Next, Iterator[Next]]] = []
    while unopened or opened:
        if unopened and (not opened or (-unopened[-1].priority, unopened[-1].job_id) <= opened[0][:2]):
            _push(opened, opened_by(unopened.pop()))
            continue
        _, _, job, jobs = heapq.heappop(opened)
        yield job
        _push(opened, jobs)


def _push(opened: list[tuple[int, int, Next, Iterator[Next]]], jobs: Iterator[Next]) -> None:
    for job in jobs:
        heapq.heappush(opened, (-job.priority, job.job_id, job, jobs))
        return


@dataclass(kw_only=True)
class _Request:
    cluster_id: int
    bounds: Bounds
    plain: bool
    columns_of: ColumnsOf
    expected: int
    now: datetime
    whole_rows: int = FEW

    def of_the_only_queue(self) -> Iterator[Next] | None:
        """None unless the last such request found one queue alone, which has jobs and is still all that there is.

        So most requests run one statement.
        """
        queue = _only_queues.get(self._kind)
        if queue is None:
            return None
        rows = waiting_in_only(
            queue.id,
            self.cluster_id,
            columns=self._whole(queue),
            labels=self.bounds.labels,
            limit=(number := min(self.expected, FEW)),
        )
        if rows:
            return self._and_after(rows, queue, number)
        _only_queues.pop(self._kind, None)
        return None

    def of_all_queues(self) -> Iterator[Next]:
        queues = served_queues(self.cluster_id, at_most=self._at_most, plain=self.plain)
        if len(queues) == 1 and queues[0].alone and not queues[0].pool and _takes_all_of(queues[0]):
            _remember(_only_queues, self._kind, queues[0])
        partial = sum(not _takes_all_of(queue) for queue in queues)
        share = max(_LOOK_AT // max(1, partial), _LOOK_AT_LEAST)
        return _merged(queues, lambda queue: self._jobs_of(queue, share))

    @cached_property
    def _at_most(self) -> dict[str, int]:
        return {item.field: item.most for item in self.bounds.limits}

    @property
    def _kind(self) -> tuple[object, ...]:
        return self.cluster_id, self.plain, *self._at_most.items()

    def _whole(self, queue: ServedQueue) -> Sequence[str]:
        return (*_PLACE, *self.columns_of(queue))

    @cached_property
    def _held(self) -> frozenset[int]:
        """The tokens whose jobs the cluster holds back."""
        held = Streak.objects.filter(cluster_id=self.cluster_id, held_at__isnull=False)
        return frozenset(held.values_list("credential_id", flat=True))

    @cached_property
    def _cluster(self) -> tuple[str, Facts]:
        name, facts = Cluster.objects.values_list("name", "facts").get(id=self.cluster_id)
        return name, Facts.read(facts)

    def _jobs_of(self, queue: ServedQueue, share: int) -> Iterator[Next]:
        return self._all_of(queue) if _takes_all_of(queue) else self._some_of(queue, share)

    def _all_of(self, queue: ServedQueue) -> Iterator[Next]:
        number = self.expected
        if number > self.whole_rows:
            return self._places_in(queue, None, number)
        self.whole_rows -= number
        return self._and_after(self._rows(queue, self._whole(queue), None, number), queue, number)

    def _and_after(self, rows: Sequence[Row], queue: ServedQueue, number: int) -> Iterator[Next]:
        """The jobs of these whole rows; after them, if there are as many as were asked for, the places of the rest."""
        yield from (Next(row[0], row[1], queue, row[2:]) for row in rows)
        if len(rows) == number:
            yield from self._places_in(queue, rows[-1][:2], _CHUNK)

    def _places_in(self, queue: ServedQueue, after: Place | None, number: int) -> Iterator[Next]:
        while rows := self._rows(queue, _PLACE, after, number):
            yield from (Next(priority, job_id, queue) for priority, job_id in rows)
            if len(rows) < number:
                return
            after, number = rows[-1], _CHUNK

    def _some_of(self, queue: ServedQueue, share: int) -> Iterator[Next]:
        left, after, left_off = share, None, _left_off.pop((self.cluster_id, queue.id), None)
        while left:
            rows = self._rows(queue, _EXAMINED, after, number := min(left, _CHUNK))
            yield from (Next(row[0], row[1], queue) for row in rows if self._fits(row, queue))
            if len(rows) < number:
                return
            left -= number
            after = (rows[-1][0], rows[-1][1])
            if left_off and left <= share // 2 and _is_before(after, left_off):
                after, left_off = left_off, None
        _remember(_left_off, (self.cluster_id, queue.id), after)

    def _rows(self, queue: ServedQueue, columns: Sequence[str], after: Place | None, number: int) -> list[Row]:
        return waiting_in(queue.id, columns=columns, labels=self.bounds.labels, after=after, limit=number)

    def _fits(self, row: Row, queue: ServedQueue) -> bool:
        _, _, submitted_by, submitted_at, *placing = row
        wanted = values_read(dict(zip(DEMAND_FIELDS, placing, strict=True)))
        cores = cores_of(**{name: wanted[name] for name in ("nodes", "tasks", "cores_per_task")})
        return (
            submitted_by not in self._held
            and self._is_due(submitted_at, queue.after_seconds)
            and self.bounds.admit(wanted | {"cores": cores})
            and (queue.fits or self._suits(wanted))
        )

    def _suits(self, wanted: Mapping[str, Any]) -> bool:
        name, facts = self._cluster
        return fits(demand_of(wanted, name), facts)

    def _is_due(self, submitted_at: datetime, after_seconds: int) -> bool:
        return not after_seconds or as_datetime(submitted_at) <= self.now - timedelta(seconds=after_seconds)


def _takes_all_of(queue: ServedQueue) -> bool:
    return queue.whole and not queue.after_seconds and not queue.holds_back


def _is_before(one: Place, other: Place) -> bool:
    return (-one[0], one[1]) < (-other[0], other[1])


# Both may be forgotten. Where the last request of a cluster left a queue off, by the ids of the two:
_left_off: dict[tuple[int, int], Any] = {}
# The only queue of a cluster, by what was asked for.
_only_queues: dict[tuple[object, ...], ServedQueue] = {}
_REMEMBER = 10_000


def forget() -> None:
    _left_off.clear()
    _only_queues.clear()


def _remember(memory: dict[Any, Any], key: object, value: object) -> None:
    if len(memory) >= _REMEMBER:
        memory.clear()
    memory[key] = value
