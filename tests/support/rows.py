"""Direct access to the rows of a server's database."""

import hashlib
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import psycopg

from tests.support.patience import PATIENCE_SECONDS


def execute(database_url: str, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """Run one statement, with %s for values, in its own transaction; returns its rows."""
    if database_url.startswith("postgresql:"):
        with psycopg.connect(database_url) as connection:
            cursor = connection.execute(statement, values or None)
            return cursor.fetchall() if cursor.description else []
    with closing(sqlite3.connect(database_url.removeprefix("sqlite:///"), timeout=PATIENCE_SECONDS)) as file, file:
        return file.execute(statement.replace("%s", "?"), [_as_sqlite_has_it(value) for value in values]).fetchall()


def count(database_url: str, *tables: str) -> tuple[int, ...]:
    counts = ", ".join(f"(SELECT COUNT(*) FROM {table})" for table in tables)
    return execute(database_url, f"SELECT {counts}")[0]


def set_cluster(database_url: str, name: str, **columns: Any) -> None:
    changes = ", ".join(f"{column} = %s" for column in columns)
    execute(database_url, f"UPDATE clusters_cluster SET {changes} WHERE name = %s", [*columns.values(), name])


def cluster_asked(database_url: str, name: str) -> bool:
    [(at,)] = execute(database_url, "SELECT last_asked_at FROM clusters_cluster WHERE name = %s", [name])
    return at is not None


def add_token(database_url: str, name: str, *, label: str, value: str) -> None:
    execute(
        database_url,
        "INSERT INTO clusters_credential (cluster_id, kind, label, digest, created_at) "
        "SELECT id, 'token', %s, %s, %s FROM clusters_cluster WHERE name = %s",
        [label, hashlib.sha256(value.encode()).hexdigest(), datetime.now(UTC), name],
    )


def _as_sqlite_has_it(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).replace(tzinfo=None).isoformat(sep=" ")
    return value
