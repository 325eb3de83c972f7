"""The jobs that new ones are to wait for."""

from collections.abc import Iterable, Mapping, Sequence

from clusters.callers import Caller
from jobs.after import After, parse_after
from jobs.models import Job
from jobs.services.dependents import why_never
from jobs.services.orders import Order
from jobs.sight import Sight, seen_by
from jobs.sql.dependencies import Dependency, insert_dependencies, lock_parents
from jobs.sql.updates import in_parts
from jobs.states import FINAL, JobState
from rainbow.errors import NO_SUCH_JOB, InvalidArgument


def find_parents(orders: Iterable[Order]) -> dict[int, InvalidArgument]:
    """Finds out what each order still waits for, and returns by identity why some are refused.

    Jobs that the submitter may not see, and such as are not there, are refused alike. Locks the jobs that are waited
    for: call it first in the transaction that inserts these orders' jobs.
    """
    waiting = {id(order): (order, _terms(order)) for order in orders if order.spec.after}
    if not waiting:
        return {}
    seen = _seen(waiting.values())
    refusals: dict[int, InvalidArgument] = {}
    for key, (order, terms) in waiting.items():
        unseen = next((one.parent_id for one in terms if one.parent_id not in seen[_sight(order)]), None)
        if unseen is not None:
            refusals[key] = InvalidArgument(f"{NO_SUCH_JOB}: {unseen}", field="after")
    states = _states({one.parent_id for key, (_, terms) in waiting.items() if key not in refusals for one in terms})
    for key, (order, terms) in waiting.items():
        if key not in refusals and (refusal := _wait_for(order, terms, states)):
            refusals[key] = refusal
    return refusals


def note_parents(new: Iterable[tuple[Order, int]]) -> None:
    """Of orders that have made jobs, with the ids of these."""
    dependencies = [
        Dependency(job_id, one.parent_id, one.wants.value) for order, job_id in new for one in order.dependencies
    ]
    if dependencies:
        insert_dependencies(dependencies)


def _terms(order: Order) -> list[After]:
    return list(dict.fromkeys(map(parse_after, order.spec.after)))


def _sight(order: Order) -> Sight | None:
    return seen_by(order.by) if isinstance(order.by, Caller) else None


def _seen(waiting: Iterable[tuple[Order, Sequence[After]]]) -> dict[Sight | None, set[int]]:
    """Which of the jobs that are named each of the submitters may see."""
    named: dict[Sight | None, set[int]] = {}
    for order, terms in waiting:
        named.setdefault(_sight(order), set()).update(one.parent_id for one in terms)
    return {sight: set(_among(job_ids, sight)) for sight, job_ids in named.items()}


def _among(job_ids: Iterable[int], sight: Sight | None) -> Iterable[int]:
    jobs = Job.objects.filter(sight.within) if sight else Job.objects.all()
    for part in in_parts(job_ids):
        yield from jobs.filter(id__in=part).values_list("id", flat=True)


def _states(job_ids: Iterable[int]) -> dict[int, JobState]:
    states: dict[int, JobState] = {}
    for part in in_parts(job_ids):
        states |= lock_parents(part)
    return states


def _wait_for(order: Order, terms: Sequence[After], states: Mapping[int, JobState]) -> InvalidArgument | None:
    """What has ended as is wanted counts as met; what has ended otherwise cancels the job."""
    order.dependencies, order.why_cancelled = (), ""
    for one in terms:
        state = states.get(one.parent_id)
        if state is None:
            return InvalidArgument(f"{NO_SUCH_JOB}: {one.parent_id}", field="after")
        if state not in FINAL:
            order.dependencies += (one,)
        elif not one.wants.is_met_by(state) and not order.why_cancelled:
            order.why_cancelled = why_never(one.parent_id, one.wants, state)
    if order.why_cancelled:
        order.dependencies = ()
    order.unmet = len(order.dependencies)
    return None
