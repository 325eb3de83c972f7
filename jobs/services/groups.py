"""The groups that submissions make, and those that they add members to."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from clusters.callers import Caller
from clusters.services.of_people import project_for
from clusters.validation import check_line, check_range
from jobs.left_to_do import Work, tell_of_work_after_commit
from jobs.models import JobGroup
from jobs.services.orders import Order, Receipt, stored_key, submitter_of
from jobs.specs import MAX_INT, MAX_KEY, MAX_NAME
from rainbow.errors import AlreadyExists, FailedPrecondition, InvalidArgument, LimitReached, RainbowError, Unavailable

_NO_SUCH_GROUP = "there is no such group of yours at this cluster, with this project"
BESIDE_THE_GROUP = "must not be beside the group of all jobs"
# Unfinished groups of a person, of a project's tokens, or of a cluster's token: each is polled for what is due.
MOST_GOING = 1_000
_RETRY_SECONDS = 60
_CLOSED = "the group takes no further members"


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupWish:
    """The group of what is submitted: a new one, or that of this id or idempotency key.

    `more`: further members follow. Without it the group is closed once these are in it. `by` and `project` are those of
    its members.
    """

    by: Caller
    project: str = ""
    group_id: int = 0
    name: str = ""
    at_once: int = 0
    stop_after_failures: int = 0
    idempotency_key: str = ""
    more: bool = False


def check_wish(wish: GroupWish) -> None:
    """Raises InvalidArgument."""
    check_line(wish.name, field="group.name", longest=MAX_NAME)
    check_line(wish.idempotency_key, field="group.idempotency_key", longest=MAX_KEY)
    for name in ("at_once", "stop_after_failures"):
        check_range(getattr(wish, name), field=f"group.{name}", lowest=0, highest=MAX_INT)
    check_range(wish.group_id, field="group.id", lowest=0, highest=MAX_INT)
    if wish.group_id and (wish.name or wish.at_once or wish.stop_after_failures or wish.idempotency_key):
        raise InvalidArgument("a group that is there already has all but `more`; leave it out", field="group.id")


def group_of(orders: Sequence[Order | RainbowError], outcomes: Sequence[Receipt | RainbowError]) -> int:
    """The id of the group that these are members of, after they were submitted; 0 where none is in it."""
    for order, outcome in zip(orders, outcomes, strict=True):
        if isinstance(order, Order) and isinstance(outcome, Receipt):
            return order.spec.group
    return 0


def groups_of(orders: Sequence[Order], wish: GroupWish | None, *, now: datetime) -> dict[int, JobGroup]:
    """The groups that these become members of, by id, locked until the commit.

    With a wish all are for one group, which their specifications are given; otherwise they name it. Raises what a
    submission to the group is refused with.
    """
    if wish:
        _check_keys(wish, orders)
        group = _found(wish) if wish.group_id else _made(wish, now)
        for order in orders:
            order.spec.group = group.id
        groups = {group.id: group}
    else:
        groups = lock_groups({order.spec.group for order in orders if order.spec.group})
    for order in orders:
        if order.spec.group in groups and groups[order.spec.group].at_once:
            # The group's next step releases as many as there is room for: the one place that does.
            order.held_by_group = True
    return groups


def _check_keys(wish: GroupWish, orders: Sequence[Order]) -> None:
    """A repeat would make another group, in which jobs of the same keys are others."""
    if not (wish.group_id or wish.idempotency_key) and any(order.spec.idempotency_key for order in orders):
        raise InvalidArgument("is required where jobs have keys of their own", field="group.idempotency_key")


def settle_groups(
    groups: Mapping[int, JobGroup], members: Sequence[Order], wish: GroupWish | None, *, now: datetime
) -> None:
    """Call it once the new members are in."""
    grown = {order.spec.group for order in members}
    JobGroup.objects.filter(id__in=grown).update(added_at=now)
    if wish and not wish.more:
        JobGroup.objects.filter(id__in=groups).update(open=False)
        tell_of_work_after_commit(Work.GROUPS, list(groups))
    if wish and not grown:
        JobGroup.objects.filter(id__in=groups, counts__isnull=True).delete()


def _found(wish: GroupWish) -> JobGroup:
    found = lock_groups([wish.group_id]).get(wish.group_id)
    if found is None or not _is_of(found, wish.by, wish.by.cluster_id, project_for(wish.by, wish.project)):
        raise InvalidArgument(_NO_SUCH_GROUP, field="group.id")
    return found


def _made(wish: GroupWish, now: datetime) -> JobGroup:
    by, project_id = wish.by, project_for(wish.by, wish.project)
    key = stored_key(wish.idempotency_key, submitter_of(by, project_id))
    if len(key) > MAX_KEY:
        raise InvalidArgument("is too long for this token", field="group.idempotency_key")
    new = JobGroup(
        cluster_id=by.cluster_id,
        submitted_by_id=by.credential,
        owner_id=by.person_id,
        project_id=project_id,
        name=wish.name,
        at_once=wish.at_once,
        stop_after_failures=wish.stop_after_failures,
        idempotency_key=key or None,
        made_at=now,
        added_at=now,
        open=True,
    )
    if not key:
        _check_number(by, project_id)
        new.save(force_insert=True)
        return new
    if not JobGroup.objects.filter(cluster_id=by.cluster_id, idempotency_key=key).exists():
        _check_number(by, project_id)
    # Of several at once that have the same key, one makes the group, and the others wait for its commit.
    JobGroup.objects.bulk_create([new], ignore_conflicts=True)
    under_key = JobGroup.objects.filter(cluster_id=by.cluster_id, idempotency_key=key)
    found = under_key.select_for_update(no_key=True).first()
    if found is None:
        raise Unavailable("the group under this key was deleted just now; try again")
    if not _is_of(found, by, by.cluster_id, project_id) or _said(found) != _said(wish):
        raise AlreadyExists("another group was submitted under this key", field="group.idempotency_key")
    return found


def _check_number(by: Caller, project_id: int | None) -> None:
    """Raises LimitReached. Submissions at the same moment may go beyond it by one each."""
    mine = {"project_id": project_id} if project_id else {"submitted_by_id": by.credential}
    if by.person_id:
        mine = {"owner_id": by.person_id}
    going = JobGroup.objects.filter(finished_at__isnull=True, **mine)
    if going[:MOST_GOING].count() >= MOST_GOING:
        text = f"{MOST_GOING:,} of your groups are not finished, and no more may be; submit again when some are"
        raise LimitReached(text, retry_after_seconds=_RETRY_SECONDS)


def _said(group: JobGroup | GroupWish) -> tuple[str, int, int]:
    return group.name, group.at_once, group.stop_after_failures


def lock_groups(ids: Collection[int]) -> dict[int, JobGroup]:
    """Without their keys, which rows that name a group lock when they are committed; by id."""
    if not ids:
        return {}
    found = JobGroup.objects.filter(id__in=sorted(set(ids))).order_by("id").select_for_update(no_key=True)
    return {group.id: group for group in found}


def refusals_of_members(orders: Sequence[Order], groups: Mapping[int, JobGroup]) -> dict[int, RainbowError]:
    """By the identity of the orders that are for a group, why they cannot be members of it.

    What repeats an earlier submission is found by its key all the same.
    """
    refused: dict[int, RainbowError] = {}
    for order in orders:
        if not order.spec.group:
            continue
        group = groups.get(order.spec.group)
        by = order.by
        if not (group and isinstance(by, Caller) and _is_of(group, by, order.cluster_id, order.project_id)):
            refused[id(order)] = InvalidArgument(_NO_SUCH_GROUP, field="group")
        elif not group.open:
            why = f"the group was stopped: {group.why}" if group.stopped_at else _CLOSED
            refused[id(order)] = FailedPrecondition(why, field="group")
    return refused


def _is_of(group: JobGroup, by: Caller, cluster_id: int, project_id: int | None) -> bool:
    """Whether the group is of who submits: of their own, their project's, or of their token."""
    if (group.cluster_id, group.project_id, group.owner_id) != (cluster_id, project_id, by.person_id):
        return False
    return project_id is not None or group.submitted_by_id == by.credential
