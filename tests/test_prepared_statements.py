"""Statements that PostgreSQL plans once for a connection, with what may happen to them meanwhile."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from clusters import prepared
from clusters.prepared import fetch_prepared
from tests.support.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.django_db(transaction=True)

STATEMENT = "SELECT word FROM words WHERE id = %s"


@pytest.fixture
def words(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """Runs statements on a table of this session, which has one row."""
    if connection.vendor != "postgresql":
        pytest.skip("needs PostgreSQL; make test-postgresql runs it")
    # The plans of earlier tests may be due to be made anew.
    prepared._sessions.clear()
    # A machine that stands still has no plan made anew.
    monkeypatch.setattr(prepared, "_PLANS_LAST_SECONDS", PATIENCE_SECONDS)
    with connection.cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE words (id integer PRIMARY KEY, word varchar(10))")
        cursor.execute("INSERT INTO words VALUES (1, 'one')")
        yield cursor.execute
        cursor.execute("DISCARD TEMPORARY")
        cursor.execute("DEALLOCATE ALL")
    prepared._sessions.clear()


def found(word_id: int = 1) -> list[Any]:
    return fetch_prepared(STATEMENT, [word_id])


def test_a_statement_is_prepared_once_for_a_connection(words: Any) -> None:
    with CaptureQueriesContext(connection) as captured:
        assert [found(1), found(2), found(1)] == [[("one",)], [], [("one",)]]

    assert [query["sql"].split()[0] for query in captured] == ["PREPARE", *["EXECUTE"] * 3]


def test_a_connection_that_lost_what_was_prepared_still_answers(words: Any) -> None:
    """As behind PgBouncer in transaction mode, where the session is another each time."""
    found()
    words("DEALLOCATE ALL")

    assert [found(), found()] == [[("one",)], [("one",)]]


def test_a_session_that_has_it_from_another_connection_uses_that(words: Any) -> None:
    found()
    prepared._sessions.clear()

    assert [found(), found()] == [[("one",)], [("one",)]]


def test_columns_may_change_their_type_under_a_server_that_runs(words: Any) -> None:
    """As in an upgrade, while servers of the release before still run."""
    found()
    words("ALTER TABLE words ALTER word TYPE varchar(20)")

    assert [found(), found()] == [[("one",)], [("one",)]]


def test_in_a_transaction_nothing_can_fail_that_was_prepared(words: Any) -> None:
    found()
    words("DEALLOCATE ALL")

    with transaction.atomic():
        assert found() == [("one",)]


def test_a_plan_does_not_outlive_the_growth_of_its_table(words: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    words("ANALYZE words")
    for _ in range(10):
        found()
    words("INSERT INTO words SELECT n, n FROM generate_series(2, 50000) n")
    monkeypatch.setattr(prepared, "_PLANS_LAST_SECONDS", 0)

    found()

    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {prepared._prepared(STATEMENT).execute}", [1])
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert "Index Scan" in plan
