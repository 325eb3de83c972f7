"""The next jobs that a cluster may take: its queues, merged.

Of most queues either all jobs fit a request or none do. Of the others, some jobs are looked at one by one: as many as
cost little, and at the next request the ones after these, so that none is passed over for ever.
"""

import heapq
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from clusters.bounds import Bounds
from clusters.facts import Facts
from clusters.matching import fits
from clusters.models import Cluster, Streak
from clusters.sql import as_datetime
from jobs.models import cores_of
from jobs.placement import DEMAND_FIELDS, demand_of
from jobs.specs import values_read
from jobs.sql.queues import ServedQueue, served_queues, waiting_in
from jobs.sql.statements import Row

# Looked at in a request, of all queues that hold both what fits and what does not; of one at least the second.
_LOOK_AT = 2_000
_LOOK_AT_LEAST = 20
_CHUNK = 250
_EXAMINED = ("priority", "id", "submitted_by_id", "submitted_at", *DEMAND_FIELDS)

# A place in a queue: the (priority, id) of a job.
Place = tuple[int, int]


def waiting_ids(*, cluster_id: int, bounds: Bounds, plain: bool, expected: int, now: datetime) -> Iterator[int]:
    """The ids of the jobs that the cluster may take now, highest priority first, then oldest first.

    Reads as it is consumed, from each queue about as many as are `expected` to be. `plain`: jobs.sql.queues.
    """
    at_most = {item.field: item.most for item in bounds.limits}
    queues = served_queues(cluster_id, at_most=at_most, plain=plain)
    request = _Request(cluster_id=cluster_id, bounds=bounds, now=now, expected=expected)
    partial = sum(not request.takes_all_of(queue) for queue in queues)
    share = max(_LOOK_AT // max(1, partial), _LOOK_AT_LEAST)
    return (job_id for _, job_id in _merged(queues, lambda queue: request.places_in(queue, share)))


def _merged(queues: Sequence[ServedQueue], places_in: Callable[[ServedQueue], Iterator[Place]]) -> Iterator[Place]:
    """The places of all queues in one order. A queue is opened when its first job may be the next of all."""
    unopened = list(reversed(queues))
    opened: list[tuple[int, int, Iterator[Place]]] = []
    while unopened or opened:
        if unopened and (not opened or (-unopened[-1].priority, unopened[-1].job_id) <= opened[0][:2]):
            _push(opened, places_in(unopened.pop()))
            continue
        priority, job_id, places = heapq.heappop(opened)
        yield -priority, job_id
        _push(opened, places)


def _push(opened: list[tuple[int, int, Iterator[Place]]], places: Iterator[Place]) -> None:
    for priority, job_id in places:
        heapq.heappush(opened, (-priority, job_id, places))
        return


@dataclass(frozen=True, kw_only=True)
class _Request:
    cluster_id: int
    bounds: Bounds
    now: datetime
    expected: int

    def takes_all_of(self, queue: ServedQueue) -> bool:
        return queue.whole and not queue.after_seconds and not self._held

    def places_in(self, queue: ServedQueue, share: int) -> Iterator[Place]:
        return self._all_of(queue) if self.takes_all_of(queue) else self._some_of(queue, share)

    @cached_property
    def _held(self) -> frozenset[int]:
        """The tokens whose jobs the cluster holds back."""
        held = Streak.objects.filter(cluster_id=self.cluster_id, held_at__isnull=False)
        return frozenset(held.values_list("credential_id", flat=True))

    @cached_property
    def _cluster(self) -> tuple[str, Facts]:
        name, facts = Cluster.objects.values_list("name", "facts").get(id=self.cluster_id)
        return name, Facts.read(facts)

    def _all_of(self, queue: ServedQueue) -> Iterator[Place]:
        number, after = min(self.expected, _CHUNK), None
        while rows := self._rows(queue, ("priority", "id"), after, number):
            yield from rows
            if len(rows) < number:
                return
            after, number = rows[-1], _CHUNK

    def _some_of(self, queue: ServedQueue, share: int) -> Iterator[Place]:
        left, after, left_off = share, None, _left_off.pop((self.cluster_id, queue.id), None)
        while left:
            rows = self._rows(queue, _EXAMINED, after, number := min(left, _CHUNK))
            yield from ((row[0], row[1]) for row in rows if self._fits(row, queue))
            if len(rows) < number:
                return
            left -= number
            after = (rows[-1][0], rows[-1][1])
            if left_off and left <= share // 2 and _is_before(after, left_off):
                after, left_off = left_off, None
        _leave_off(self.cluster_id, queue.id, after)

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


def _is_before(one: Place, other: Place) -> bool:
    return (-one[0], one[1]) < (-other[0], other[1])


# Where the last request of a cluster left a queue off, by the ids of the two. It may be forgotten.
_left_off: dict[tuple[int, int], Any] = {}
_REMEMBER = 10_000


def _leave_off(cluster_id: int, queue_id: int, place: Place | None) -> None:
    if len(_left_off) >= _REMEMBER:
        _left_off.clear()
    _left_off[cluster_id, queue_id] = place
