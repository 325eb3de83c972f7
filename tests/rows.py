"""A server's rows, read and changed behind its back."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from typing import Any

import psycopg


def execute(database_url: str, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """Runs one statement (its places are %s) in a transaction of its own, and gives the rows that it returns."""
    if database_url.startswith("postgresql:"):
        with psycopg.connect(database_url) as connection:
            cursor = connection.execute(statement, values)
            return cursor.fetchall() if cursor.description else []
    with closing(sqlite3.connect(database_url.removeprefix("sqlite:///"), timeout=20)) as file, file:
        return file.execute(statement.replace("%s", "?"), values).fetchall()


def count(database_url: str, table: str) -> int:
    return int(execute(database_url, f"SELECT COUNT(*) FROM {table}")[0][0])
