"""Refusing what is beyond the limits of a person or a project."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from clusters.callers import Caller
from clusters.limits import SUBMISSION
from clusters.models import Holder
from jobs.sql.allowances import Counted, HolderKey, count_submissions, holders, take_submissions_back
from rainbow.errors import LimitReached

# Of one who has as many waiting jobs as they may: when there is room depends on the clusters.
_RETRY_SECONDS = 30


class Submitted(Protocol):
    """An order, whose parts are asked for here alone."""

    @property
    def owner_id(self) -> int | None: ...
    @property
    def project_id(self) -> int | None: ...


def count_orders(orders: Iterable[Submitted], *, now: datetime) -> list[Counted]:
    """Counts them as submitted; what makes no job must be taken back in the same transaction."""
    if demand := _demand(orders):
        return count_submissions(demand, now=now)
    return []


def take_back(orders: Iterable[Submitted], *, now: datetime) -> None:
    if demand := _demand(orders):
        take_submissions_back(demand, now=now)


def beyond(counted: Iterable[Counted]) -> bool:
    return any(_room(one) < one.new for one in counted)


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """What persons and projects are called, for refusals."""

    by_key: Mapping[HolderKey, str]

    @classmethod
    def of(cls, callers: Iterable[object]) -> "Names":
        found: dict[HolderKey, str] = {}
        for caller in {id(one): one for one in callers if isinstance(one, Caller)}.values():
            if caller.person_id:
                found[Holder.PERSON.value, caller.person_id] = caller.person
            found |= {(Holder.PROJECT.value, one.id): one.name for one in caller.projects}
        return cls(by_key=found)


def refused_beyond(orders: Sequence[Submitted], *, counted: Iterable[Counted], names: Names) -> dict[int, LimitReached]:
    """By its identity each of the orders for which there is no room; the first ones get it.

    All were counted, and with them others that make no job.
    """
    by_key = {one.key: one for one in counted}
    room = {key: _room(one) for key, one in by_key.items()}
    admitted = Counter[HolderKey]()
    over: dict[int, HolderKey] = {}
    for order in orders:
        keys = list(holders(order.owner_id, order.project_id))
        full = next((key for key in keys if admitted[key] >= room[key]), None)
        if full:
            over[id(order)] = full
        else:
            admitted.update(keys)
    refusals = {key: _refusal(by_key[key], by_key[key].new - admitted[key], names) for key in over.values()}
    return {order: refusals[key] for order, key in over.items()}


def _demand(orders: Iterable[Submitted]) -> Counter[HolderKey]:
    """Empty at next to no cost where no order is for a project, as with clusters' own tokens."""
    of_people = [order for order in orders if order.project_id]
    return Counter(key for order in of_people for key in holders(order.owner_id, order.project_id))


def _room(one: Counted) -> int:
    """For how many of the new ones there is room."""
    rooms = [one.new]
    if one.limits.waiting:
        rooms.append(one.limits.waiting - one.waiting + one.new)
    if one.limits.submissions:
        rooms.append(one.limits.submissions - -(-one.submitted // SUBMISSION) + one.new)
    return min(rooms)


def _refusal(one: Counted, refused: int, names: Names) -> LimitReached:
    """`refused` of those that are counted make no job."""
    kind, _ = one.key
    who = f"{kind} {names.by_key.get(one.key, one.key[1])}"
    waiting, limits = one.waiting - refused, one.limits
    if limits.waiting and waiting >= limits.waiting:
        text = f"{who} has {waiting:,} of the {limits.waiting:,} waiting jobs that it may"
        return LimitReached(f"{text}; submit again when some have left", retry_after_seconds=_RETRY_SECONDS)
    most = limits.submissions * SUBMISSION
    beyond = one.submitted - (refused - 1) * SUBMISSION - most
    # Rounded up.
    seconds = max(1, -(-beyond * 60 // most))
    text = f"{who} submitted the {limits.submissions:,} jobs a minute that it may; submit again in {seconds} seconds"
    return LimitReached(text, retry_after_seconds=seconds)
