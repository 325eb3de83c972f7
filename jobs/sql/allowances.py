"""The counts of what persons and projects have in the queues and clusters."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import NamedTuple

from django.db import connection

from clusters.limits import LIMITS, MINUTE, SUBMISSION, Limits, default_limit, limits_of
from clusters.models import Allowance, Holder
from jobs.sql.statements import Columns, insert

# The kind of a holder and its id: the order in which their rows are locked.
HolderKey = tuple[str, int]
_TABLE = Allowance._meta.db_table
_CONFLICT = "ON CONFLICT (kind, holder_id) DO UPDATE SET"
_RETURNED = "kind, holder_id, waiting, submitted, most_waiting, most_submissions"


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


def take_submissions_back(jobs: Mapping[HolderKey, int], *, now: datetime) -> None:
    """Of so many that were counted in this transaction and made no job."""
    rows = _submissions({key: -number for key, number in jobs.items()}, now)
    added = ", ".join(f"{name} = {_TABLE}.{name} + excluded.{name}" for name in ("waiting", "submitted"))
    insert(Allowance, rows, f"{_CONFLICT} {added}")


def add_to_allowances(changes: Mapping[HolderKey, Change]) -> None:
    """In the lock order (docs/development.md): by kind and id, before the counts."""
    changed = sorted((key, change) for key, change in changes.items() if any(change))
    columns: Columns = {
        **_keys(key for key, _ in changed),
        **{name: [getattr(change, name) for _, change in changed] for name in Change._fields},
    }
    added = ", ".join(f"{name} = {_TABLE}.{name} + excluded.{name}" for name in Change._fields)
    insert(Allowance, columns, f"{_CONFLICT} {added}")


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
    least, greatest = ("LEAST", "GREATEST") if connection.vendor == "postgresql" else ("MIN", "MAX")
    defaults = " ".join(f"WHEN '{kind}' THEN {default_limit(kind, 'submissions')}" for kind in Holder.values)
    most = f"COALESCE({_TABLE}.most_submissions, CASE {_TABLE}.kind {defaults} ELSE 0 END)::bigint"
    most = most if connection.vendor == "postgresql" else most.removesuffix("::bigint")
    since = f"(excluded.submitted_at - {_TABLE}.submitted_at)"
    late = f"{since} BETWEEN -{MINUTE} AND 0"
    passed = f"CASE WHEN {late} THEN 0 ELSE {least}({greatest}({since}, -{since}), {MINUTE}) END"
    left = f"{greatest}({least}({_TABLE}.submitted, {most} * {SUBMISSION}) - {most} * ({passed}) / 60, 0)"
    return (
        f"{_CONFLICT} waiting = {_TABLE}.waiting + excluded.waiting, submitted = {left} + excluded.submitted, "
        f"submitted_at = CASE WHEN {late} THEN {_TABLE}.submitted_at ELSE excluded.submitted_at END"
    )
