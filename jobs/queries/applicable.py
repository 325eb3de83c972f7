"""Which jobs an action would change."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import or_

from django.db.models import QuerySet

from clusters.callers import Operator
from jobs.models import Job
from jobs.outcomes import CHANGED, Judged, cancel_outcome, requeue_refusal
from jobs.queries.search import Search, ranges_of
from jobs.states import FINAL, REQUEUEABLE, ActionKind, JobState

# How many jobs of a state are read before an action on all that match is offered, and before one is confirmed.
_LOOK_AT = 200
_COUNT_UP_TO = 5_000


def _waits(job: Judged) -> bool:
    return job.state == JobState.QUEUED


_CHANGES: dict[ActionKind, Callable[[Judged], bool]] = {
    ActionKind.CANCEL: lambda job: cancel_outcome(job) in CHANGED,
    ActionKind.REQUEUE: lambda job: not requeue_refusal(job),
    ActionKind.PRIORITIZE: _waits,
    ActionKind.MOVE: _waits,
}
_STATES: dict[ActionKind, frozenset[JobState]] = {
    ActionKind.CANCEL: frozenset(JobState) - FINAL,
    ActionKind.REQUEUE: REQUEUEABLE,
    ActionKind.PRIORITIZE: frozenset({JobState.QUEUED}),
    ActionKind.MOVE: frozenset({JobState.QUEUED}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Foresight:
    """How many jobs an action would change now; `more` tells that there were too many to count."""

    jobs: int
    more: bool


def changeable(*, kind: ActionKind, job_ids: Sequence[int]) -> set[int]:
    """Those of the jobs (up to 10,000) that the action would change now."""
    return {job.id for job in _judged(job_ids) if _CHANGES[kind](job)}


def actions_for(jobs: Iterable[Judged]) -> list[ActionKind]:
    """The actions that would change at least one of these jobs."""
    jobs = list(jobs)
    return [kind for kind in ActionKind if any(map(_CHANGES[kind], jobs))]


def actions_for_all(*, by: Operator, search: Search) -> list[ActionKind]:
    """The actions that may change some of the jobs that match, on whichever page.

    Judged by the first 200 jobs of each state, and without a search for text, which no index finds.
    """
    states = _possible(search, *ActionKind)
    if not states:
        return []
    ranges, _ = ranges_of(replace(search, states=states, text="", last=0), by)
    found = {state: list(ids[:_LOOK_AT]) for state, ids in zip(states, ranges, strict=True)}
    many = {state for state, ids in found.items() if len(ids) == _LOOK_AT}
    sure = actions_for(_judged([id for ids in found.values() for id in ids]))
    return [kind for kind in ActionKind if kind in sure or _STATES[kind] & many]


def foresee(*, kind: ActionKind, by: Operator, search: Search) -> Foresight:
    """How many the action would change, counted up to 5,000 and no further than a search for text goes."""
    states = _possible(search, kind)
    if not states:
        return Foresight(jobs=0, more=False)
    ranges, looked_until = ranges_of(replace(search, states=states), by)
    ids = ranges.first_ids(_COUNT_UP_TO)
    more = len(ids) == _COUNT_UP_TO or bool(looked_until)
    return Foresight(jobs=len(changeable(kind=kind, job_ids=ids)), more=more)


def at_most(counts: dict[JobState, int], *, kind: ActionKind, search: Search) -> int:
    """How many jobs the action can change at most, by how many there are in each state."""
    return sum(counts.get(state, 0) for state in _possible(search, kind))


def _judged(job_ids: Sequence[int]) -> QuerySet[Job]:
    return Job.objects.filter(id__in=job_ids).only("state", "agent", "cancel_requested_at")


def _possible(search: Search, *kinds: ActionKind) -> list[JobState]:
    states = reduce(or_, (_STATES[kind] for kind in kinds))
    return [state for state in search.states or JobState if state in states]
