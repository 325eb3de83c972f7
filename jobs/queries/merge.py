"""Merging jobs of several queues into one order."""

import heapq
from collections.abc import Callable, Iterable, Iterator
from itertools import count
from typing import NamedTuple

from jobs.sql.queues import ServedQueue
from jobs.sql.statements import Place, Row

# Less goes first.
Rank = tuple[int, ...]


class Next(NamedTuple):
    """The next job. `row` has the columns that were asked for; empty if they are still to be read."""

    priority: int
    turn: int
    job_id: int
    queue: ServedQueue
    row: Row = ()

    @classmethod
    def read(cls, row: Row, queue: ServedQueue) -> "Next":
        """From _PLACE and further columns."""
        return cls(row[0], row[1], row[2], queue, row[3:])

    @property
    def place(self) -> Place:
        return self.priority, self.turn, self.job_id


class Source(NamedTuple):
    """Jobs in their order, of which none is before this place."""

    start: Place
    open: Callable[[], Iterator[Next]]


def in_order(place: Place) -> Rank:
    return -place[0], *place[1:]


def by_age(place: Place) -> Rank:
    """Turns are those of one cluster or pool; where several meet, the next job of each goes by its age."""
    return -place[0], place[2]


def merged(sources: Iterable[Source], rank: Callable[[Place], Rank] = in_order) -> Iterator[Next]:
    """The jobs of all sources in one order. A source is opened when its first job may be the next of all."""
    unopened = sorted(sources, key=lambda source: rank(source.start), reverse=True)
    # Two sources may have the same job; these are told apart by when it was found.
    opened: list[tuple[Rank, int, Next, Iterator[Next]]] = []
    numbers = count()
    while unopened or opened:
        if unopened and (not opened or rank(unopened[-1].start) <= opened[0][0]):
            jobs = unopened.pop().open()
        else:
            _, _, job, jobs = heapq.heappop(opened)
            yield job
        if following := next(jobs, None):
            heapq.heappush(opened, (rank(following.place), next(numbers), following, jobs))
