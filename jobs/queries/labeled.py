"""The next jobs with certain labels that a cluster may take.

Of a label that few jobs carry, all of these are looked at. Of one that many carry, the first jobs of the queues are,
and some more of those that carry it at each request, so that none is passed over for ever.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice

from jobs.queries.examine import EXAMINED, cost_of
from jobs.queries.head import Search, remember
from jobs.queries.merge import Next, Source, by_age, in_order, merged
from jobs.sql.labels import carrying, jobs_labeled, oldest_waiting_for, waiting_with
from jobs.sql.waiting import BEFORE_ALL

# Looked at in a request: of the queues, and of those that carry a label.
LOOK_AT = 2_000
_CHUNK = 250
# Of these the one that fewest jobs carry.
_COMPARED = 8

# Where the last request of a cluster left off, by that and the label. It may be forgotten.
_left_off: dict[tuple[int, str, str], int] = {}


def forget() -> None:
    _left_off.clear()


@dataclass(frozen=True, kw_only=True)
class LabeledSearch:
    """The jobs that `whole` would find, but for the labels of its bounds, that carry these labels."""

    whole: Search

    def __iter__(self) -> Iterator[Next]:
        oldest = oldest_waiting_for(self.whole.cluster_id)
        if oldest is None:
            return iter(())
        found, are_all = self._of_the_rarest(oldest)
        by_turns: dict[int, list[Next]] = {}
        for job in found:
            by_turns.setdefault(job.queue.turns_of, []).append(job)
        sources = [Source(some[0].place, partial(iter, some)) for some in by_turns.values()]
        if not are_all:
            sources.append(Source(BEFORE_ALL, self._first_of_queues))
        return _each_once(merged(sources, by_age))

    def _of_the_rarest(self, oldest: int) -> tuple[list[Next], bool]:
        """Of the label that fewest jobs carry: those that may be taken, in their order, and whether they are all.

        Otherwise they are those after the ones of the last request, or the oldest once there are no more.
        """
        labels = list(islice(self.whole.bounds.labels.items(), _COMPARED))
        counted = ((jobs_labeled(*label, first=oldest, limit=LOOK_AT + 1), label) for label in labels)
        ids, label = min(counted, key=lambda one: len(one[0]))
        at = (self.whole.cluster_id, *label)
        if left_off := _left_off.pop(at, 0):
            ids = jobs_labeled(*label, first=max(oldest, left_off), limit=LOOK_AT + 1)
        found, looked_at = self._that_may_be_taken(ids[:LOOK_AT])
        if looked_at < len(ids):
            remember(_left_off, at, ids[looked_at])
        return sorted(found, key=lambda job: in_order(job.place)), not left_off and looked_at == len(ids)

    def _that_may_be_taken(self, ids: Sequence[int]) -> tuple[list[Next], int]:
        """Some of the first of these, and how many were looked at: fewer where they say much."""
        whole = self.whole
        queues = {queue.id: queue for queue in whole.served_queues()}
        found, looked_at, cost = list[Next](), 0, 0
        while looked_at < len(ids) and cost < LOOK_AT:
            part = ids[looked_at : looked_at + _CHUNK]
            rows = waiting_with(whole.bounds.labels, part, columns=EXAMINED)
            looked_at, cost = looked_at + len(part), cost + sum(map(cost_of, rows))
            found += [
                Next(priority, turn, job_id, queues[queue_id])
                for priority, turn, job_id, queue_id, *examined in rows
                if queue_id in queues and whole.examination.passes(tuple(examined), queues[queue_id])
            ]
        return found, looked_at

    def _first_of_queues(self) -> Iterator[Next]:
        labels = self.whole.bounds.labels
        jobs = islice(replace(self.whole, bounds=replace(self.whole.bounds, labels={})), LOOK_AT)
        while some := list(islice(jobs, _CHUNK)):
            labeled = carrying(labels, (job.job_id for job in some))
            yield from (job for job in some if job.job_id in labeled)


def _each_once(jobs: Iterable[Next]) -> Iterator[Next]:
    seen: set[int] = set()
    for job in jobs:
        if job.job_id not in seen:
            seen.add(job.job_id)
            yield job
