"""The cursor that a connection to SQLite keeps for short statements."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from django.db import ConnectionHandler, IntegrityError
from django.test.utils import CaptureQueriesContext

from rainbow_site.databases import configure

# To connect to a file of its own.
pytestmark = pytest.mark.django_db


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[Any]:
    database = configure(f"sqlite:///{tmp_path / 'rainbow.db'}", pool_size=1)
    with closing(ConnectionHandler({"default": database})["default"]) as made:
        rows(made, "CREATE TABLE t (a UNIQUE)")
        yield made


def rows(connection: Any, statement: str) -> list[Any]:
    with connection.kept_cursor() as cursor:
        cursor.execute(statement)
        return list(cursor.fetchall())


def files_open_in(folder: Path) -> set[Path]:
    return {file for entry in Path("/proc/self/fd").iterdir() if (file := entry.resolve()).is_relative_to(folder)}


def test_it_is_the_same_for_one_statement_after_another(connection: Any) -> None:
    assert rows(connection, "INSERT INTO t VALUES (1), (2) RETURNING a") == [(1,), (2,)]
    assert rows(connection, "SELECT COUNT(*) FROM t") == [(2,)]
    assert connection.kept_cursor() is connection.kept_cursor()


def test_it_serves_on_after_a_statement_that_failed(connection: Any) -> None:
    rows(connection, "INSERT INTO t VALUES (1)")

    with pytest.raises(IntegrityError):
        rows(connection, "INSERT INTO t VALUES (1)")

    assert rows(connection, "SELECT a FROM t") == [(1,)]


def test_a_closed_connection_has_no_file_open_and_another_serves(connection: Any, tmp_path: Path) -> None:
    rows(connection, "INSERT INTO t VALUES (1), (2)")
    with connection.kept_cursor() as cursor:
        cursor.execute("SELECT a FROM t")
        cursor.fetchone()

    connection.close()

    assert not files_open_in(tmp_path)
    assert rows(connection, "SELECT a FROM t") == [(1,), (2,)]


def test_who_counts_statements_counts_its_own(connection: Any) -> None:
    rows(connection, "SELECT 1")

    with CaptureQueriesContext(connection) as asked:
        rows(connection, "SELECT 2")

    assert [query["sql"] for query in asked.captured_queries] == ["SELECT 2"]
