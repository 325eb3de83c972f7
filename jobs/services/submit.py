"""Submitting jobs."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from django.db import DataError, IntegrityError, transaction

from clusters.callers import Actor, Caller
from clusters.services.of_people import project_for
from jobs.events import Step, recorded
from jobs.metrics import SUBMITTED
from jobs.models import Job
from jobs.placement import Definition, definition_of
from jobs.queries.lookup import within_reach
from jobs.services.groups import GroupWish, groups_of, refusals_of_members, settle_groups
from jobs.services.inputs import find_inputs, note_uses
from jobs.services.limits import Names, beyond, count_orders, refused_beyond, take_back
from jobs.services.orders import Key, Order, Receipt, rows_of
from jobs.services.parents import find_parents, note_parents
from jobs.services.placing import queues_for
from jobs.services.turns import give_turns_back, take_turns
from jobs.services.unreachable import refusals_of
from jobs.specs import MAX_KEY, JobSpec, check_expiry, check_spec
from jobs.sql.inserts import insert_jobs, insert_labels
from jobs.sql.queues import KnownQueue, known_queues
from jobs.sql.reads import queued_counts, rank
from jobs.sql.statements import Row, run_in_order
from jobs.sql.turns import homes_with_turns
from jobs.states import JobState, What
from rainbow.errors import NO_SUCH_JOB, AlreadyExists, InvalidArgument, RainbowError, ResourceExhausted, Unavailable

_TOO_MANY_LISTS = (
    "this token's jobs that wait name too many different lists of clusters; submit to the pool without one"
)


def submit_jobs(
    *,
    orders: Sequence[Order],
    now: datetime,
    group: GroupWish | None = None,
    refuse_all_on_conflict: bool = False,
    rank_duplicates: bool = True,
) -> list[Receipt | RainbowError]:
    """Queues jobs in one transaction. Each order gets its receipt or its own refusal, in their order.

    Refusals: InvalidArgument, also for a job that no cluster can ever take, ResourceExhausted for one list of clusters
    too many, and AlreadyExists when the idempotency key stands for another job; with `refuse_all_on_conflict` that is
    raised instead, and none is queued. Without `rank_duplicates` the position of a job that was there already is 0:
    finding it costs more the longer the queue. With a `group` all of them, which have one submitter, become members of
    it; where none does, a new one is not made.
    Raises, and queues none, what the group is refused with, and ResourceExhausted when the ids are used up.
    """
    results: dict[int, Receipt | RainbowError] = {}
    good: dict[int, Order] = {}
    for place, order in enumerate(orders):
        if refusal := _refusal(order):
            results[place] = refusal
        else:
            good[place] = order
    if good or group:
        rank_of = _rank if rank_duplicates else _no_rank
        submitted = _submit(list(good.values()), group, now, rank_of, refuse_all_on_conflict)
        results.update(zip(good, submitted, strict=True))
    return [results[place] for place in range(len(orders))]


def _refusal(order: Order) -> InvalidArgument | None:
    try:
        if isinstance(order.by, Caller):
            order.project_id = project_for(order.by, order.project)
        check_spec(order.spec)
        _check_own_key(order)
    except InvalidArgument as error:
        return error
    return None


def _check_own_key(order: Order) -> None:
    """What is put before the keys of people leaves them less room."""
    if len(order.own_key) > MAX_KEY:
        longest = MAX_KEY - (len(order.own_key) - len(order.spec.idempotency_key))
        raise InvalidArgument(f"must have at most {longest} characters with this token", field="idempotency_key")


def _refusal_of_expiry(spec: JobSpec, now: datetime) -> InvalidArgument | None:
    try:
        check_expiry(spec.expires_at, now=now)
    except InvalidArgument as error:
        return error
    return None


def _submit(
    orders: list[Order],
    wish: GroupWish | None,
    now: datetime,
    rank_of: Callable[[Job], int],
    refuse_all_on_conflict: bool,
) -> list[Receipt | RainbowError]:
    try:
        with transaction.atomic():
            groups = groups_of(orders, wish, now=now)
            refusals: dict[int, RainbowError] = refusals_of_members(orders, groups)
            refusals |= find_parents(order for order in orders if id(order) not in refusals)
            queues, homes, unplaced = _placed([order for order in orders if id(order) not in refusals], now)
            refusals |= unplaced
            inputs, lacking = find_inputs([order for order in orders if id(order) in queues])
            refusals |= lacking
            wanted = _without_repeats(order for order in orders if id(order) in queues and id(order) not in lacking)
            if homes:
                _take_turns([order for order in wanted if order.state == JobState.QUEUED], queues, homes)
            refused = _refused_beyond_limits(wanted, now)
            refusals |= _with_repeats(refused, wanted, orders)
            new = _insert([order for order in wanted if id(order) not in refused], queues, now)
            if len(new) < len(wanted):
                made = {id(order) for order, _ in new}
                not_made = [order for order in wanted if id(order) not in made]
                take_back(not_made, now=now)
                give_turns_back(not_made)
            note_uses(new, inputs)
            receipts = dict(_receipts(new, _record(new, now)))
            if groups:
                settle_groups(groups, [order for order, _ in new], wish, now=now)
            earlier = _earlier(order for order in orders if order.key and id(order) not in receipts)
            results = [
                receipts.get(id(order)) or _replay(order, earlier, rank_of, refusals.get(id(order))) for order in orders
            ]
            if refuse_all_on_conflict:
                _raise_conflict(results)
    except (IntegrityError, DataError) as error:
        _explain(error)
        raise
    _count([order for order, _ in new])
    return results


def _count(queued: Sequence[Order]) -> None:
    """Of many jobs at once all have one submitter, and are not counted one by one."""
    ids = {order.cluster_id for order in queued}
    for cluster_id in ids:
        mine = queued if len(ids) == 1 else [order for order in queued if order.cluster_id == cluster_id]
        if isinstance(mine[0].by, Caller):
            SUBMITTED.add(len(mine), mine[0].by.cluster)


def _without_repeats(orders: Iterable[Order]) -> list[Order]:
    """Of several orders under one key only the first is a candidate for a new job."""
    first: dict[object, Order] = {}
    for order in orders:
        first.setdefault(order.key or id(order), order)
    return list(first.values())


def _take_turns(orders: Sequence[Order], queues: Mapping[int, int], homes: Mapping[int, bool]) -> None:
    for order in orders:
        order.queue_id = queues[id(order)]
    take_turns(orders, homes=homes)


def _refused_beyond_limits(orders: Sequence[Order], now: datetime) -> dict[int, RainbowError]:
    """Counts the orders, and returns by identity those for which their person or project has no room.

    The rows of these persons and projects are locked from here on, so that no other has a key of theirs under way. What
    repeats an earlier submission needs no room.
    """
    counted = count_orders(orders, now=now)
    if not beyond(counted):
        return {}
    earlier = _earlier(order for order in orders if order.key)
    new = [order for order in orders if order.key not in earlier]
    return dict(refused_beyond(new, counted=counted, names=Names.of(order.by for order in orders)))


def _with_repeats(
    refused: Mapping[int, RainbowError], candidates: Iterable[Order], orders: Iterable[Order]
) -> dict[int, RainbowError]:
    """Of several orders under one key that is refused, each is."""
    keys = {order.key: refused[id(order)] for order in candidates if order.key and id(order) in refused}
    return {**refused, **{id(order): keys[order.key] for order in orders if order.key in keys}}


def _insert(orders: list[Order], queues: Mapping[int, int], now: datetime) -> list[tuple[Order, int]]:
    """Adds the jobs and returns those that are new, with their ids."""
    if not orders:
        return []
    rows = insert_jobs(rows_of(orders, queues, now))
    keyed = {(cluster_id, key): job_id for job_id, cluster_id, key in rows if key is not None}
    plain = iter([job_id for job_id, _, key in rows if key is None])
    ids = [keyed.get(order.key) if order.key else next(plain) for order in orders]
    new = [(order, job_id) for order, job_id in zip(orders, ids, strict=True) if job_id is not None]
    insert_labels((job_id, order.spec.labels) for order, job_id in new)
    note_parents(new)
    return new


def _placed(orders: Sequence[Order], now: datetime) -> tuple[dict[int, int], dict[int, bool], dict[int, RainbowError]]:
    """The queues of the orders, and of those that can be in none why, by the identity of the orders.

    Between the two, which clusters and pools have turns: jobs.sql.turns.homes_with_turns. Where all jobs of a queue
    fit one cluster, and they name none, it is not asked which are in reach.
    """
    if not orders:
        return {}, {}, {}
    definitions = [definition_of(order.cluster_id, order.spec) for order in orders]
    placed = list(zip(orders, definitions, strict=True))
    # Few are distinct, and most of these are one object.
    distinct = set(definitions)
    known = known_queues({definition.digest for definition in distinct}) if distinct else {}
    unsure = {one for one in distinct if one.clusters or one.digest not in known or not known[one.digest].whole}
    refusals = dict(_refused([order for order, its in placed if its in unsure])) if unsure else {}
    refusals |= _refused_resubmissions(orders)
    expiring = (order for order in orders if order.spec.expires_at)
    refusals |= {id(order): refusal for order in expiring if (refusal := _refusal_of_expiry(order.spec, now))}
    served = [(order, definition) for order, definition in placed if id(order) not in refusals]
    submitters = {definition: order.by for order, definition in served}
    ids = queues_for(submitters.items(), known=known, now=now)
    queues = {definition: ids[definition.digest] for definition in submitters if definition.digest in ids}
    refusals |= {
        id(order): ResourceExhausted(_TOO_MANY_LISTS, field="clusters")
        for order, definition in served
        if definition not in queues
    }
    placed_in = {id(order): queues[definition] for order, definition in served if definition in queues}
    return placed_in, _homes_with_turns(queues, known), refusals


def _homes_with_turns(placed: Iterable[Definition], known: Mapping[bytes, KnownQueue]) -> dict[int, bool]:
    there = {its.cluster_id: known[its.digest].fair for its in placed if its.digest in known}
    new = {its.cluster_id for its in placed} - there.keys()
    homes = {home: fair for home, fair in there.items() if fair is not None}
    return homes | homes_with_turns(new) if new else homes


def _refused(orders: Sequence[Order]) -> Iterator[tuple[int, RainbowError]]:
    refusals = refusals_of([(order.cluster_id, order.spec) for order in orders])
    return ((id(order), refusal) for order, refusal in zip(orders, refusals, strict=True) if refusal)


def _refused_resubmissions(orders: Sequence[Order]) -> dict[int, RainbowError]:
    """Those in place of a job that the submitter does not see, or that is not there."""
    again = [order for order in orders if order.spec.resubmission_of]
    seen: dict[int, set[int]] = {}
    for order in again:
        if id(order.by) not in seen:
            wanted = {one.spec.resubmission_of for one in again if one.by is order.by}
            seen[id(order.by)] = set(within_reach(order.by).filter(id__in=wanted).values_list("id", flat=True))
    return {
        id(order): InvalidArgument(NO_SUCH_JOB, field="resubmission_of")
        for order in again
        if order.spec.resubmission_of not in seen[id(order.by)]
    }


def _step(order: Order, job_id: int) -> Step:
    return Step(
        job_id=job_id,
        cluster_id=order.cluster_id,
        priority=order.spec.priority,
        attempt=1,
        what=What.SUBMITTED,
        before=None,
        after=JobState.BLOCKED if order.why_cancelled else order.state,
        group=order.spec.group,
    )


def _end_of_cancelled(order: Order, job_id: int) -> Step:
    return replace(
        _step(order, job_id),
        what=What.CANCELLED,
        before=JobState.BLOCKED,
        after=JobState.CANCELLED,
        why=order.why_cancelled,
        owner_id=order.owner_id,
        project_id=order.project_id,
    )


def _record(new: Sequence[tuple[Order, int]], now: datetime) -> list[Row]:
    """(cluster id, priority, jobs) of what waits with these in their clusters and pools."""
    if not new:
        return []
    steps: list[tuple[Step, Actor]] = [(_step(order, job_id), order.by) for order, job_id in new]
    steps += [(_end_of_cancelled(order, job_id), None) for order, job_id in new if order.why_cancelled]
    return run_in_order([*recorded(steps, now=now), queued_counts({order.cluster_id for order, _ in new})])


def _receipts(new: Sequence[tuple[Order, int]], waiting: Sequence[Row]) -> Iterator[tuple[int, Receipt]]:
    """Receipts by the identity of their orders. The counts say how long the queue is now; the newest is last."""
    last: dict[tuple[int, int], int] = {}
    for cluster_id, priority in {(order.cluster_id, order.spec.priority) for order, _ in new}:
        counts = [jobs for cluster, at, jobs in waiting if cluster == cluster_id and at >= priority]
        last[cluster_id, priority] = int(sum(counts))
    for order, job_id in reversed(new):
        if order.state != JobState.QUEUED:
            yield id(order), Receipt(job_id=job_id, duplicate=False, position=0)
            continue
        mine = (order.cluster_id, order.spec.priority)
        yield id(order), Receipt(job_id=job_id, duplicate=False, position=last[mine])
        last[mine] -= 1


def _earlier(orders: Iterable[Order]) -> dict[Key, Job]:
    """The jobs that stand under the keys of these orders."""
    keys: dict[int, set[str]] = {}
    for order in orders:
        keys.setdefault(order.cluster_id, set()).add(order.own_key)
    return {
        (cluster_id, job.idempotency_key or ""): job
        for cluster_id, wanted in keys.items()
        for job in Job.objects.under_keys(cluster_id, wanted).defer("output")
    }


def _replay(
    order: Order, earlier: Mapping[Key, Job], rank_of: Callable[[Job], int], refusal: RainbowError | None
) -> Receipt | RainbowError:
    """For an order that made no job: the one under its key, which may have been servable then."""
    job = earlier.get(order.key) if order.key else None
    if job is None and refusal:
        return refusal
    if job is None:
        return Unavailable("the job under this key was deleted just now; try again")
    if not order.spec.has_fingerprint(bytes(job.fingerprint or b""), order.submitter_and_project):
        return AlreadyExists("another job was submitted under this key", field="idempotency_key")
    return Receipt(job_id=job.id, duplicate=True, position=rank_of(job))


def _rank(job: Job) -> int:
    return rank(job.cluster_id, job.place) if job.state == JobState.QUEUED else 0


def _no_rank(job: Job) -> int:
    return 0


def _raise_conflict(results: Iterable[Receipt | RainbowError]) -> None:
    for result in results:
        if isinstance(result, AlreadyExists):
            raise result


def _explain(error: Exception) -> None:
    """Ids are 32-bit on the wire: SQLite's check and PostgreSQL's sequence both stop before the commit."""
    if "job_id_fits_the_wire" in str(error) or "nextval" in str(error):
        text = "the job ids are used up; an operator has to make room (docs/operations.md)"
        raise ResourceExhausted(text) from error
