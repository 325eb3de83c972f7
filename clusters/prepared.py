"""Statements that PostgreSQL parses and plans once for a connection: of the hot ones that costs more than running them.

They get names of ours, not the driver's, which are numbers. Behind PgBouncer in transaction mode a connection meets
statements that others prepared; a name that is a digest always stands for the same one.
"""

import hashlib
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from django.db import DatabaseError, NotSupportedError, ProgrammingError, connection
from django.db.backends.utils import CursorWrapper

from clusters.sql.cursors import open_cursor, vendor

Row = tuple[Any, ...]

# A plan suits tables as large as they were. In this time 100,000 jobs may be submitted.
_PLANS_LAST_SECONDS = 1.0
# https://www.postgresql.org/docs/current/errcodes-appendix.html
_DUPLICATE_STATEMENT, _NO_SUCH_STATEMENT, _RESULT_TYPE_CHANGED = "42P05", "26000", "0A000"


class _Prepared(NamedTuple):
    name: str
    prepare: str
    execute: str


class _Session:
    """What is known of a connection."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.planned_at = time.monotonic()


_sessions: WeakKeyDictionary[Any, _Session] = WeakKeyDictionary()


def fetch_prepared(statement: str, values: Sequence[Any]) -> list[Row]:
    """The rows of a statement of which there are few variants, each placeholder a value."""
    with open_cursor() as cursor:
        # A name that the session does not know would fail the transaction.
        if vendor() != "postgresql" or connection.in_atomic_block:
            cursor.execute(statement, values)
        else:
            _execute(cursor, statement, values)
        rows: list[Row] = cursor.fetchall()
    return rows


def _execute(cursor: CursorWrapper, statement: str, values: Sequence[Any]) -> None:
    session = _sessions.setdefault(connection.connection, _Session())
    prepared = _prepared(statement)
    try:
        _prepare(cursor, session, prepared)
        cursor.execute(prepared.execute, values)
    except (ProgrammingError, NotSupportedError) as error:
        if _state_of(error) not in (_NO_SUCH_STATEMENT, _RESULT_TYPE_CHANGED):
            raise
        session.names.discard(prepared.name)
        with suppress(ProgrammingError):
            cursor.execute(f"DEALLOCATE {prepared.name}")
        cursor.execute(statement, values)


def _prepare(cursor: CursorWrapper, session: _Session, prepared: _Prepared) -> None:
    if prepared.name not in session.names:
        try:
            cursor.execute(prepared.prepare)
        except ProgrammingError as error:
            if _state_of(error) != _DUPLICATE_STATEMENT:
                raise
        session.names.add(prepared.name)
    elif time.monotonic() - session.planned_at > _PLANS_LAST_SECONDS:
        cursor.execute("DISCARD PLANS")
        session.planned_at = time.monotonic()


@lru_cache(maxsize=100)
def _prepared(statement: str) -> _Prepared:
    parts = statement.split("%s")
    numbered = "".join(f"{part}${number}" for number, part in enumerate(parts[:-1], start=1)) + parts[-1]
    name = f"rainbow_{hashlib.sha256(statement.encode()).hexdigest()[:32]}"
    places = ", ".join(["%s"] * (len(parts) - 1))
    return _Prepared(name=name, prepare=f"PREPARE {name} AS {numbered}", execute=f"EXECUTE {name} ({places})")


def _state_of(error: DatabaseError) -> str:
    return getattr(error.__cause__, "sqlstate", "")
