"""The counts of what persons and projects have in the queues and clusters."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from django.db.models import Q, QuerySet

from clusters.limits import LIMITS, MINUTE, SUBMISSION, Limits, default_limit, limits_of
from clusters.models import Allowance, Holder
from clusters.sql.cursors import vendor
from jobs.sql.statements import Columns, Statement, insert, insertion

# The kind of a holder and its id: the order in which their rows are locked.
HolderKey = tuple[str, int]
_TABLE = Allowance._meta.db_table
_CONFLICT = "ON CONFLICT (kind, holder_id) DO UPDATE SET"
_MOST = [f"most_{name}" for name in LIMITS]
_RETURNED = ", ".join(["kind", "holder_id", "waiting", "submitted", *_MOST])
# Values of a statement; SQLite takes at most 32,766.
_PART = 10_000


def holders(owner_id: int | None, project_id: int | None) -> Iterator[HolderKey]:
    """Whom a job counts for: its person, its project, both or neither."""
    if owner_id:
        yield Holder.PERSON.value, owner_id
    if project_id:
        yield Holder.PROJECT.value, project_id


class Change(NamedTuple):
    waiting: int = 0
    held: int = 0
    held_nodes: int = 0


class Counted(NamedTuple):
    """What a holder has with `new` submissions. `submitted` is in millionths."""

    key: HolderKey
    new: int
    waiting: int
    submitted: int
    limits: Limits


def count_submissions(jobs: Mapping[HolderKey, int], *, now: datetime) -> list[Counted]:
    """Adds so many submissions to what each has, and returns that. Their rows stay locked until the commit."""
    rows = insert(Allowance, _submissions(jobs, now), f"{_counting()} RETURNING {_RETURNED}")
    return [
        Counted(
            key=(kind, holder_id),
            new=jobs[kind, holder_id],
            waiting=waiting,
            submitted=submitted,
            limits=limits_of(kind, dict(zip(LIMITS, own, strict=True))),
        )
        for kind, holder_id, waiting, submitted, *own in rows
    ]


class Held(NamedTuple):
    """What clusters hold of a person's or a project's jobs."""

    key: HolderKey
    jobs: int
    nodes: int
    limits: Limits


def held_limit_is_set() -> bool:
    """Whether an operator gave some person or project one of their own."""
    return Allowance.objects.filter(Q(most_held__gt=0) | Q(most_held_nodes__gt=0)).exists()


def held_by_all() -> list[Held]:
    """Of all but those of whom nothing is held and who have the limits of the settings."""
    own = Q(most_held__isnull=False) | Q(most_held_nodes__isnull=False)
    return _held(Allowance.objects.filter(Q(held__gt=0) | Q(held_nodes__gt=0) | own))


def held_by(keys: Iterable[HolderKey], *, lock: bool) -> list[Held]:
    """With `lock` they stay locked until the commit, in the lock order (docs/development.md): by kind and id."""
    ordered = sorted(keys)
    parts = (ordered[start : start + _PART] for start in range(0, len(ordered), _PART))
    return [held for part in parts for held in _held(_those(part, lock))]


def _those(keys: Sequence[HolderKey], lock: bool) -> QuerySet[Allowance]:
    ids = {kind: [id for its, id in keys if its == kind] for kind in Holder.values}
    of_people = Q(kind=Holder.PERSON, holder_id__in=ids[Holder.PERSON])
    found = Allowance.objects.filter(of_people | Q(kind=Holder.PROJECT, holder_id__in=ids[Holder.PROJECT]))
    return found.order_by("kind", "holder_id").select_for_update(no_key=True) if lock else found


def _held(found: QuerySet[Allowance]) -> list[Held]:
    return [
        Held((kind, id), jobs, nodes, limits_of(kind, dict(zip(LIMITS, own, strict=True))))
        for kind, id, jobs, nodes, *own in found.values_list("kind", "holder_id", "held", "held_nodes", *_MOST)
    ]


def take_submissions_back(jobs: Mapping[HolderKey, int], *, now: datetime) -> None:
    """Of so many that were counted in this transaction and made no job."""
    rows = _submissions({key: -number for key, number in jobs.items()}, now)
    added = ", ".join(f"{name} = {_TABLE}.{name} + excluded.{name}" for name in ("waiting", "submitted"))
    insert(Allowance, rows, f"{_CONFLICT} {added}")


def allowances_changed(changes: Mapping[HolderKey, Change]) -> list[Statement]:
    """In the lock order (docs/development.md): by kind and id, before the counts."""
    changed = sorted((key, change) for key, change in changes.items() if any(change))
    if not changed:
        return []
    columns: Columns = {
        **_keys(key for key, _ in changed),
        **{name: [getattr(change, name) for _, change in changed] for name in Change._fields},
    }
    added = ", ".join(f"{name} = {_TABLE}.{name} + excluded.{name}" for name in Change._fields)
    return insertion(Allowance, columns, f"{_CONFLICT} {added}")


def _submissions(jobs: Mapping[HolderKey, int], now: datetime) -> Columns:
    ordered = sorted(jobs.items())
    return {
        **_keys(key for key, _ in ordered),
        "waiting": [number for _, number in ordered],
        "submitted": [number * SUBMISSION for _, number in ordered],
        "submitted_at": [int(now.timestamp() * 1_000_000)] * len(ordered),
    }


def _keys(keys: Iterable[HolderKey]) -> dict[str, list[object]]:
    ordered = list(keys)
    return {"kind": [kind for kind, _ in ordered], "holder_id": [holder_id for _, holder_id in ordered]}


def _counting() -> str:
    """A leaky bucket, from which a minute lets out as many submissions as are allowed in a minute.

    It never begins with more than that, whatever was allowed before. Clocks of servers differ: time does not go back,
    unless by so much that the clock of before was wrong.
    """
    least, greatest = ("LEAST", "GREATEST") if vendor() == "postgresql" else ("MIN", "MAX")
    defaults = " ".join(f"WHEN '{kind}' THEN {default_limit(kind, 'submissions')}" for kind in Holder.values)
    most = f"COALESCE({_TABLE}.most_submissions, CASE {_TABLE}.kind {defaults} ELSE 0 END)::bigint"
    most = most if vendor() == "postgresql" else most.removesuffix("::bigint")
    since = f"(excluded.submitted_at - {_TABLE}.submitted_at)"
    late = f"{since} BETWEEN -{MINUTE} AND 0"
    passed = f"CASE WHEN {late} THEN 0 ELSE {least}({greatest}({since}, -{since}), {MINUTE}) END"
    left = f"{greatest}({least}({_TABLE}.submitted, {most} * {SUBMISSION}) - {most} * ({passed}) / 60, 0)"
    return (
        f"{_CONFLICT} waiting = {_TABLE}.waiting + excluded.waiting, submitted = {left} + excluded.submitted, "
        f"submitted_at = CASE WHEN {late} THEN {_TABLE}.submitted_at ELSE excluded.submitted_at END"
    )
