"""The next jobs that a cluster may take: its queues, merged.

Of most queues either all jobs fit a request or none do. Of the others, some jobs are looked at one by one: as many as
cost little, and at the next request the ones after these, so that none is passed over for ever.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property, partial
from typing import Any, NamedTuple

from clusters.bounds import Bounds
from clusters.sql.cursors import vendor
from jobs.queries.examine import EXAMINED, Examination, cost_of
from jobs.queries.merge import Next, Source, by_age, in_order, merged
from jobs.room import Room, room_now
from jobs.sql.queues import ServedQueue, served_queues
from jobs.sql.statements import Place, Row
from jobs.sql.waiting import (
    Look,
    OnlyQueue,
    Seen,
    first_of_all,
    waiting_in,
    waiting_in_only,
    waiting_in_only_each,
    within_bounds,
)

# Looked at in a request, of all queues that hold both what fits and what does not; of one at least the second.
_LOOK_AT = 2_000
_LOOK_AT_LEAST = 20
_CHUNK = 250
_PLACE = ("priority", "turn", "id")

# So many rows at most are read whole whatever their size: a job may carry 128 KiB of text.
FEW = 50

# The columns that jobs of a queue are read with.
ColumnsOf = Callable[[ServedQueue], Sequence[str]]


class _Glance(NamedTuple):
    """What some jobs of a queue, looked at, tell: which of them fit, and which was the last, unless the queue ended."""

    fitting: Sequence[Place]
    cost: int
    last: Place | None


def read_ahead(searches: Sequence["Search"]) -> None:
    """Reads the jobs of searches that come at once, if each has one queue alone, as most have.

    On PostgreSQL that is one statement instead of one for each. SQLite has no way to the database to save.
    """
    if vendor() == "sqlite" or len(searches) == 1:
        return
    by_columns: dict[tuple[str, ...], list[tuple[Search, OnlyQueue]]] = {}
    for search in searches:
        if queue := search.only_queue:
            only = OnlyQueue(queue.id, search.cluster_id, search.expected)
            by_columns.setdefault(search.whole(queue), []).append((search, only))
    for columns, some in by_columns.items():
        rows = waiting_in_only_each(list(dict.fromkeys(only for _, only in some)), columns=columns)
        for search, only in some:
            search.rows_ahead = rows[only]


@dataclass(kw_only=True)
class Search:
    """The jobs that the cluster may take now, highest priority first, then oldest first, or by turns where there are.

    Reads as it is consumed, from each queue about as many as are `expected` to be. `plain`: jobs.sql.queues.
    Labels are for jobs.queries.labeled. `rows_ahead` are rows of its only queue, if they are read.
    """

    cluster_id: int
    bounds: Bounds
    plain: bool
    columns_of: ColumnsOf
    expected: int
    now: datetime
    rows_ahead: Sequence[Row] | None = None
    _looked: dict[Look, list[Seen]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.expected = min(self.expected, FEW)

    def __iter__(self) -> Iterator[Next]:
        return self._of_the_only_queue() or self._of_all_queues()

    @cached_property
    def only_queue(self) -> ServedQueue | None:
        """The one queue that the last such search found, unless jobs have to be looked at one by one."""
        return None if self.room else _only_queues.get(self._kind)

    def served_queues(self) -> list[ServedQueue]:
        queues = served_queues(self.cluster_id, at_most=self.at_most, plain=self.plain)
        return [queue._replace(limited=True) for queue in queues] if self.room else queues

    def whole(self, queue: ServedQueue) -> tuple[str, ...]:
        return (*_PLACE, *self.columns_of(queue))

    def _of_the_only_queue(self) -> Iterator[Next] | None:
        """None unless the only queue has jobs and is still all that there is. So most searches run one statement."""
        if not (queue := self.only_queue):
            return None
        if rows := self._first_of_only(queue):
            return self._and_after(rows, queue, self.expected)
        _only_queues.pop(self._kind, None)
        return None

    def _first_of_only(self, queue: ServedQueue) -> Sequence[Row]:
        if self.rows_ahead is not None:
            return self.rows_ahead
        return waiting_in_only(queue.id, self.cluster_id, columns=self.whole(queue), limit=self.expected)

    def _of_all_queues(self) -> Iterator[Next]:
        queues = self.served_queues()
        if len(queues) == 1 and queues[0].alone and not queues[0].pool and _takes_all_of(queues[0]):
            remember(_only_queues, self._kind, queues[0])
        share = max(_LOOK_AT // max(1, sum(not _takes_all_of(queue) for queue in queues)), _LOOK_AT_LEAST)
        by_turns: dict[int, list[ServedQueue]] = {}
        for queue in queues:
            by_turns.setdefault(queue.turns_of, []).append(queue)
        sources = [Source(some[0].place, partial(self._of_one_order, some, share)) for some in by_turns.values()]
        return sources[0].open() if len(sources) == 1 else merged(sources, by_age)

    def _of_one_order(self, queues: Sequence[ServedQueue], share: int) -> Iterator[Next]:
        whole, divided = list[ServedQueue](), list[ServedQueue]()
        for queue in queues:
            (whole if _takes_all_of(queue) else divided).append(queue)
        # As many first jobs as are expected are in as many queues.
        together, further = whole[: self.expected], whole[self.expected :]
        first = self._first_of(together)
        self._look_ahead(divided, first, share)
        sources = [Source(together[0].place, partial(self._of, together, first))] if together else []
        # Opened by few requests: those that these first jobs do not satisfy.
        sources += [Source(further[0].place, partial(self._each_of, further))] if further else []
        return merged([*sources, *(Source(queue.place, partial(self._some_of, queue, share)) for queue in divided)])

    @cached_property
    def at_most(self) -> dict[str, int]:
        return {item.field: item.most for item in self.bounds.limits}

    @cached_property
    def examination(self) -> Examination:
        return Examination(cluster_id=self.cluster_id, at_most=self.at_most, room=self.room, now=self.now)

    @cached_property
    def room(self) -> Room | None:
        return room_now()

    @property
    def _kind(self) -> tuple[object, ...]:
        return self.cluster_id, self.plain, *self.at_most.items()

    def _first_of(self, queues: Sequence[ServedQueue]) -> list[Next]:
        """The first jobs of all these queues in one statement, read whole."""
        if not queues:
            return []
        if len(queues) == 1:
            rows = self._rows(queues[0], self.whole(queues[0]), None, self.expected)
            return [Next.read(row, queues[0]) for row in rows]
        columns = max(map(self.whole, queues), key=len)
        rows = first_of_all([queue.id for queue in queues], columns=columns, limit=self.expected)
        by_id = {queue.id: queue for queue in queues}
        return [Next.read(row[1:], by_id[row[0]]) for row in rows]

    def _of(self, queues: Sequence[ServedQueue], first: Sequence[Next]) -> Iterator[Next]:
        """All jobs of these queues, of which these are the first."""
        yield from first
        if len(first) == self.expected:
            last = first[-1].place
            starts = (max(last, queue.place, key=in_order) for queue in queues)
            yield from merged(
                Source(start, partial(self._after, last, queue)) for start, queue in zip(starts, queues, strict=True)
            )

    def _after(self, place: Place, queue: ServedQueue) -> Iterator[Next]:
        return self._and_after(self._rows(queue, _PLACE, place, _CHUNK), queue, _CHUNK)

    def _each_of(self, queues: Sequence[ServedQueue]) -> Iterator[Next]:
        return merged(Source(queue.place, partial(self._all_of, queue)) for queue in queues)

    def _all_of(self, queue: ServedQueue) -> Iterator[Next]:
        return self._and_after(self._rows(queue, _PLACE, None, self.expected), queue, self.expected)

    def _and_after(self, rows: Sequence[Row], queue: ServedQueue, number: int) -> Iterator[Next]:
        """These jobs, of which some are read whole; after them, if there are as many as were asked for, the rest."""
        while rows:
            yield from (Next.read(row, queue) for row in rows)
            if len(rows) < number:
                return
            rows, number = self._rows(queue, _PLACE, rows[-1][:3], _CHUNK), _CHUNK

    def _look_ahead(self, queues: Sequence[ServedQueue], first: Sequence[Next], share: int) -> None:
        """Looks in one statement at the queues of which some jobs may come before those expected."""
        last = in_order(first[-1].place) if len(first) == self.expected else None
        sized = (queue for queue in queues if not queue.whole and _differ_in_size_alone(queue))
        before = [queue for queue in sized if last is None or in_order(queue.place) < last]
        looks = [look for queue in before[: self.expected] for look in self._first_looks(queue, share)]
        if looks:
            self._looked |= zip(looks, self._look(looks), strict=True)

    def _first_looks(self, queue: ServedQueue, share: int) -> list[Look]:
        left_off = _left_off.get((self.cluster_id, queue.id))
        until = share // 2 if left_off else 0
        return [Look(queue.id, None, share - until), *([Look(queue.id, left_off, until)] if left_off else [])]

    def _look(self, looks: Sequence[Look]) -> list[list[Seen]]:
        return within_bounds(looks, at_most=self.at_most, limit=self.expected)

    def _some_of(self, queue: ServedQueue, share: int) -> Iterator[Next]:
        """Of so many: half of them from the first job on, and half from where the last request left off."""
        left, after, left_off = share, None, _left_off.pop((self.cluster_id, queue.id), None)
        glance = self._glance_at_sizes if _differ_in_size_alone(queue) else self._glance_at_all
        while left > 0:
            until = share // 2 if left_off else 0
            fitting, cost, after = glance(queue, Look(queue.id, after, left - until))
            yield from (Next(*place, queue) for place in fitting)
            if not after:
                return
            left -= cost
            if left_off and left <= until:
                after, left_off = max(after, left_off, key=in_order), None
        remember(_left_off, (self.cluster_id, queue.id), after)

    def _glance_at_sizes(self, queue: ServedQueue, look: Look) -> _Glance:
        seen = self._looked.pop(look) if look in self._looked else self._look([look])[0]
        ends = not seen or (len(seen) < self.expected and seen[-1].n < look.number)
        fitting = [job[:3] for job in seen if job.is_within]
        return _Glance(fitting, cost=seen[-1].n if seen else 0, last=None if ends else seen[-1][:3])

    def _glance_at_all(self, queue: ServedQueue, look: Look) -> _Glance:
        number = min(look.number, _CHUNK if look.after else 2 * self.expected)
        rows = self._rows(queue, (*_PLACE, *EXAMINED), look.after, number)
        fitting = [row[:3] for row in rows if self.examination.passes(row[3:], queue)]
        return _Glance(fitting, cost=sum(map(cost_of, rows)), last=None if len(rows) < number else rows[-1][:3])

    def _rows(self, queue: ServedQueue, columns: Sequence[str], after: Place | None, number: int) -> list[Row]:
        return waiting_in(queue.id, columns=columns, after=after, limit=number)


def _takes_all_of(queue: ServedQueue) -> bool:
    return queue.whole and _differ_in_size_alone(queue)


def _differ_in_size_alone(queue: ServedQueue) -> bool:
    """Whether each of its jobs that is within the bounds of the request may be taken."""
    return queue.fits and not queue.after_seconds and not queue.holds_back and not queue.limited


# Both may be forgotten. Where the last request of a cluster left a queue off, by the ids of the two:
_left_off: dict[tuple[int, int], Any] = {}
# The only queue of a cluster, by what was asked for.
_only_queues: dict[tuple[object, ...], ServedQueue] = {}
_REMEMBER = 10_000


def forget() -> None:
    _left_off.clear()
    _only_queues.clear()


def remember(memory: dict[Any, Any], key: object, value: object) -> None:
    if len(memory) >= _REMEMBER:
        memory.clear()
    memory[key] = value
