"""The jobs and groups that new jobs are to wait for."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db.models import QuerySet

from jobs.after import After, parse_after
from jobs.queries.groups import visible_groups
from jobs.queries.lookup import within_reach
from jobs.services.dependents import why_never
from jobs.services.orders import Order
from jobs.sight import Sight, sight_of
from jobs.sql.dependencies import GROUPS, JOBS, Dependency, Named, insert_dependencies, lock_named_groups, lock_parents
from jobs.sql.updates import in_parts
from jobs.states import FINAL, JobState
from rainbow.errors import NO_SUCH_GROUP, NO_SUCH_JOB, InvalidArgument

# Of the jobs that one credential submits in one transaction together: with ten times as many it takes ten seconds.
MOST_TERMS = 30_000
_TOO_MANY = f"the jobs of one call must wait for at most {MOST_TERMS:,} others in all; submit this one in another"


@dataclass(slots=True, kw_only=True)
class _Seen:
    """The ids of what a submitter names, or of what of it the submitter may see."""

    jobs: set[int] = field(default_factory=set)
    groups: set[int] = field(default_factory=set)

    def name(self, terms: Iterable[After]) -> None:
        for term in terms:
            (self.groups if term.group else self.jobs).add(term.parent_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Locked:
    jobs: Mapping[int, JobState]
    groups: Mapping[int, Named]

    def state(self, term: After, seen: _Seen) -> JobState | None:
        """None of what has not ended. Raises InvalidArgument, alike for what is not there and what is not seen."""
        return self._of_group(term, seen) if term.group else self._of_job(term, seen)

    def _of_job(self, term: After, seen: _Seen) -> JobState | None:
        if term.parent_id not in seen.jobs or term.parent_id not in self.jobs:
            raise InvalidArgument(f"{NO_SUCH_JOB}: {term.parent_id}", field="after")
        state = self.jobs[term.parent_id]
        return state if state in FINAL else None

    def _of_group(self, term: After, seen: _Seen) -> JobState | None:
        """A job could else wait for a group of which it, or one that waits for it, becomes a member."""
        if term.parent_id not in seen.groups or term.parent_id not in self.groups:
            raise InvalidArgument(f"{NO_SUCH_GROUP}: {term.parent_id}", field="after")
        group = self.groups[term.parent_id]
        if group.open:
            raise InvalidArgument(f"group {group.id} takes further members; it must be closed first", field="after")
        return JobState(group.outcome) if group.outcome else None


def find_parents(orders: Iterable[Order]) -> dict[int, InvalidArgument]:
    """Finds out what each order still waits for, and returns by identity why some are refused.

    Locks the groups and jobs that are waited for: call it before other jobs are locked in the transaction that inserts
    these orders' jobs.
    """
    asked = [(order, _terms(order)) for order in orders if order.spec.after]
    refusals = _beyond(asked)
    waiting = [(order, terms) for order, terms in asked if id(order) not in refusals]
    if not waiting:
        return refusals
    seen = _seen(waiting)
    groups = lock_named_groups({id for one in seen.values() for id in one.groups})
    locked = _Locked(groups=groups, jobs=_states({id for one in seen.values() for id in one.jobs}))
    for order, terms in waiting:
        try:
            _wait_for(order, [(term, locked.state(term, seen[sight_of(order.by)])) for term in terms])
        except InvalidArgument as error:
            refusals[id(order)] = error
    return refusals


def note_parents(new: Iterable[tuple[Order, int]]) -> None:
    """Of orders that have made jobs, with the ids of these."""
    waiting = [(job_id, one) for order, job_id in new for one in order.dependencies]
    for parents, of_groups in ((JOBS, False), (GROUPS, True)):
        its = [Dependency(job_id, one.parent_id, one.wants.value) for job_id, one in waiting if one.group == of_groups]
        if its:
            insert_dependencies(parents, its)


def _beyond(asked: Iterable[tuple[Order, Sequence[After]]]) -> dict[int, InvalidArgument]:
    """The orders with which their submitters name too much at once."""
    named, refusals = Counter[int | None](), dict[int, InvalidArgument]()
    for order, terms in asked:
        if named[order.submitted_by_id] + len(terms) > MOST_TERMS:
            refusals[id(order)] = InvalidArgument(_TOO_MANY, field="after")
        else:
            named[order.submitted_by_id] += len(terms)
    return refusals


def _terms(order: Order) -> list[After]:
    return list(dict.fromkeys(map(parse_after, order.spec.after)))


def _seen(waiting: Iterable[tuple[Order, Sequence[After]]]) -> dict[Sight | None, _Seen]:
    named: dict[Sight | None, _Seen] = {}
    submitters = {}
    for order, terms in waiting:
        submitters[sight_of(order.by)] = order.by
        named.setdefault(sight_of(order.by), _Seen()).name(terms)
    return {
        sight: _Seen(
            jobs=_ids(within_reach(submitters[sight]), its.jobs),
            groups=_ids(visible_groups(submitters[sight]), its.groups),
        )
        for sight, its in named.items()
    }


def _ids(visible: QuerySet[Any], ids: Iterable[int]) -> set[int]:
    return {id for part in in_parts(ids) for id in visible.filter(id__in=part).values_list("id", flat=True)}


def _states(job_ids: Iterable[int]) -> dict[int, JobState]:
    states: dict[int, JobState] = {}
    for part in in_parts(job_ids):
        states |= lock_parents(part)
    return states


def _wait_for(order: Order, terms: Sequence[tuple[After, JobState | None]]) -> None:
    """What has ended as is wanted counts as met; what has ended otherwise cancels the job."""
    never = [(term, state) for term, state in terms if state and not term.wants.is_met_by(state)]
    order.why_cancelled = why_never(never[0][0].text, never[0][0].wants, never[0][1]) if never else ""
    order.dependencies = () if never else tuple(term for term, state in terms if state is None)
    order.unmet = len(order.dependencies)
