"""Making room when the ids run out: they are 32-bit on the wire."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction

from jobs.models import MAX_ID, Job
from rainbow.errors import FailedPrecondition

# While more ids than this are left, a restart would only give recent ids to other jobs.
PLENTY = 100_000_000

_JOB = Job._meta.db_table
_LARGEST_FREE = f"""
    SELECT id + 1, next - 1 FROM (
        SELECT id, LEAD(id) OVER (ORDER BY id) AS next
        FROM (SELECT 0 AS id UNION ALL SELECT id FROM {_JOB} UNION ALL SELECT {MAX_ID + 1}) AS ids
    ) AS neighbors
    ORDER BY next - id DESC NULLS LAST, id LIMIT 1
"""
_AFTER_THE_NEWEST = f"SELECT COALESCE(MAX(id), 0) + 1, {MAX_ID} FROM {_JOB}"


@dataclass(frozen=True, slots=True, kw_only=True)
class IdRange:
    """From `first` to `last`, both included; empty when `last` lies before `first`."""

    first: int
    last: int

    @property
    def size(self) -> int:
        return max(0, self.last - self.first + 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Restart:
    """Which ids new jobs get, and whether that is so only now."""

    ids: IdRange
    changed: bool


@transaction.atomic
def restart_ids() -> Restart:
    """Gives new jobs a range of ids that no record uses, unless 100 million are left of the present one.

    PostgreSQL takes the largest free range, SQLite can only count on from the newest record. Running it again
    does no harm. Raises FailedPrecondition, and changes nothing, when no larger range than the present is free.
    """
    database = _Postgresql() if connection.vendor == "postgresql" else _Sqlite()
    left = database.left()
    if left.size >= PLENTY:
        return Restart(ids=left, changed=False)
    free = database.free()
    if free.size <= left.size:
        raise FailedPrecondition(
            f"{left.size:,} ids are left, and no larger range is free; {database.remedy} and try again"
        )
    database.move_to(free)
    return Restart(ids=free, changed=True)


class _Postgresql:
    remedy = "prune more jobs"

    def __init__(self) -> None:
        # No submission is under way whose id this transaction cannot see.
        _execute(f"LOCK TABLE {_JOB} IN SHARE ROW EXCLUSIVE MODE")

    def left(self) -> IdRange:
        sequence = _row("SELECT pg_get_serial_sequence(%s, 'id')", [_JOB])[0]
        last_value, is_called = _row(f"SELECT last_value, is_called FROM {sequence}")
        (last,) = _row("SELECT seqmax FROM pg_sequence WHERE seqrelid = %s::regclass", [sequence])
        return IdRange(first=last_value + is_called, last=last)

    def free(self) -> IdRange:
        first, last = _row(_LARGEST_FREE)
        return IdRange(first=first, last=last)

    def move_to(self, ids: IdRange) -> None:
        """The sequence ends before the next record, so that submitting fails there as it does at the very end."""
        _execute(f"ALTER TABLE {_JOB} ALTER COLUMN id SET MAXVALUE {ids.last} RESTART WITH {ids.first}")


class _Sqlite:
    """AUTOINCREMENT goes on from the larger of the newest record and a number in sqlite_sequence
    (https://sqlite.org/autoinc.html)."""

    remedy = "prune more jobs, the newest above all,"

    def left(self) -> IdRange:
        (last_given,) = _row("SELECT COALESCE(MAX(seq), 0) FROM sqlite_sequence WHERE name = %s", [_JOB])
        return IdRange(first=last_given + 1, last=MAX_ID)

    def free(self) -> IdRange:
        first, last = _row(_AFTER_THE_NEWEST)
        return IdRange(first=first, last=last)

    def move_to(self, ids: IdRange) -> None:
        _execute("UPDATE sqlite_sequence SET seq = %s WHERE name = %s", [ids.first - 1, _JOB])


def _row(statement: str, values: Sequence[str | int] = ()) -> tuple[Any, ...]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        row: tuple[Any, ...] = cursor.fetchone()
        return row


def _execute(statement: str, values: Sequence[str | int] = ()) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
