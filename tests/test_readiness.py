"""`/readyz` tells whether a submission would be kept, and costs no more than one write a second."""

import threading
from collections.abc import Callable, Iterator

import pytest
from django.db import DatabaseError, OperationalError, connection

from rainbow_site.process.readiness import write
from rainbow_site.process.schema import NOT_UP_TO_DATE
from rainbow_site.web import health
from rainbow_site.web.health import NO_ANSWER, NO_WRITES
from tests.support.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def readiness() -> health._Readiness:
    return health._Readiness()


@pytest.fixture
def read_only() -> Iterator[None]:
    with connection.cursor() as cursor:
        cursor.execute("SET default_transaction_read_only = on")
        yield
        cursor.execute("SET default_transaction_read_only = off")


def test_a_database_that_takes_writes_is_ready(readiness: health._Readiness) -> None:
    assert readiness.trouble() == ""


def test_a_database_that_is_only_read_is_not_ready(
    postgresql_only: None, readiness: health._Readiness, read_only: None
) -> None:
    with pytest.raises(DatabaseError):
        write()

    assert readiness.trouble() == NO_WRITES


def test_what_is_written_changes_nothing() -> None:
    """Nor does it make the other connections of SQLite read the schema again."""
    if connection.vendor == "postgresql":
        pytest.skip("there it is a message in the log")

    before = pragmas()
    write()

    assert pragmas() == before


@pytest.mark.parametrize(
    ("name", "behaviour", "trouble"),
    [
        ("up_to_date", lambda: False, NOT_UP_TO_DATE),
        ("up_to_date", lambda: fail(), NO_ANSWER),
        ("write", lambda: fail(), NO_WRITES),
    ],
)
def test_each_trouble_has_its_words(
    readiness: health._Readiness,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    behaviour: Callable[[], bool],
    trouble: str,
) -> None:
    monkeypatch.setattr(health, name, behaviour)

    assert readiness.trouble() == trouble


def test_many_that_ask_at_once_cost_one_look(readiness: health._Readiness, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[None] = []
    monkeypatch.setattr(health, "_look", lambda: looks.append(None) or "")
    monkeypatch.setattr(health, "_FRESH_SECONDS", 3600)

    for _ in range(100):
        readiness.trouble()

    assert len(looks) == 1


def test_those_who_ask_while_a_look_takes_long_do_not_wait_for_it(
    readiness: health._Readiness, monkeypatch: pytest.MonkeyPatch
) -> None:
    looking, done = threading.Event(), threading.Event()
    monkeypatch.setattr(health, "_PATIENCE_SECONDS", 0.01)

    def look() -> str:
        looking.set()
        done.wait(PATIENCE_SECONDS)
        return ""

    monkeypatch.setattr(health, "_look", look)
    first = threading.Thread(target=readiness.trouble)
    first.start()
    looking.wait(PATIENCE_SECONDS)

    assert readiness.trouble() == NO_ANSWER

    done.set()
    first.join(PATIENCE_SECONDS)
    assert readiness.trouble() == ""


def fail() -> bool:
    raise OperationalError("no")


def pragmas() -> list[tuple[int]]:
    with connection.cursor() as cursor:
        return [cursor.execute(f"PRAGMA {name}").fetchone() for name in ("user_version", "schema_version")]
