"""Which ids new rows get: sequences on PostgreSQL, AUTOINCREMENT on SQLite (https://sqlite.org/autoinc.html)."""

from collections.abc import Sequence
from typing import Any

from django.db import connection

from jobs.models import MAX_ID, Job
from rainbow_site.copies.export_file import Ids, NotAnExport

_JOB = Job._meta.db_table


def ids_of(table: str) -> Ids:
    if connection.vendor == "postgresql":
        sequence = _row("SELECT pg_get_serial_sequence(%s, 'id')", [table])[0]
        last_value, is_called = _row(f"SELECT last_value, is_called FROM {sequence}")
        (last,) = _row("SELECT seqmax FROM pg_sequence WHERE seqrelid = %s::regclass", [sequence])
        return Ids(next=last_value + is_called, last=last if table == _JOB else None)
    (given,) = _row("SELECT COALESCE(MAX(seq), 0) FROM sqlite_sequence WHERE name = %s", [table])
    (largest,) = _row(f"SELECT COALESCE(MAX(id), 0) FROM {table}")
    return Ids(next=max(given, largest) + 1, last=MAX_ID if table == _JOB else None)


def set_ids(table: str, ids: Ids) -> None:
    """So that no id is given twice, nor one of a row that was deleted. Raises NotAnExport."""
    (largest,) = _row(f"SELECT COALESCE(MAX(id), 0) FROM {table}")
    if connection.vendor == "postgresql":
        _set_sequence(table, ids, largest)
    else:
        _execute("DELETE FROM sqlite_sequence WHERE name = %s", [table])
        _execute("INSERT INTO sqlite_sequence (name, seq) VALUES (%s, %s)", [table, max(ids.next - 1, largest)])


def _set_sequence(table: str, ids: Ids, largest: int) -> None:
    """On PostgreSQL the ids of new jobs may lie before those of older ones (manage.py restartids)."""
    last = ids.last if table == _JOB else None
    if last is None:
        _execute(f"ALTER TABLE {table} ALTER COLUMN id RESTART WITH {max(ids.next, largest + 1)}")
        return
    (taken,) = _row(f"SELECT COUNT(*) FROM {table} WHERE id BETWEEN %s AND %s", [ids.next, last])
    if taken or not ids.next <= last <= MAX_ID:
        raise NotAnExport(f"new jobs would get ids of {ids.next:,} to {last:,}, which are not free")
    _execute(f"ALTER TABLE {table} ALTER COLUMN id SET MAXVALUE {last} RESTART WITH {ids.next}")


def _row(statement: str, values: Sequence[Any] = ()) -> tuple[Any, ...]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        row: tuple[Any, ...] = cursor.fetchone()
        return row


def _execute(statement: str, values: Sequence[Any] = ()) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
