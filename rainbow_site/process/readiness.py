from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from django.db import OperationalError, connection, transaction

from rainbow_site.databases import IN_MEMORY
from rainbow_site.process.schema import NOT_UP_TO_DATE, up_to_date
from rainbow_site.process.sqlite_lock import CannotUse, InUse, held
from rainbow_site.sqlite.file import expect, opened_as

_PATIENCE_SECONDS = 10


class NotReady(Exception):
    """The database cannot serve; the message is for operators."""


def database_file() -> str:
    """The argument of `expect_database_file` in other processes of the same server; empty for PostgreSQL."""
    return opened_as(_path()) if connection.vendor == "sqlite" else ""


def expect_database_file(opened: str) -> None:
    """Makes this process refuse any other file at the path, also if the expected one is gone already."""
    if connection.vendor == "sqlite":
        expect(_path(), opened)


def write() -> None:
    """Writes to disk without an effect. Raises django.db.Error if a submission would fail, too."""
    with transaction.atomic(), connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            [version] = cursor.execute("PRAGMA user_version").fetchone()
            cursor.execute(f"PRAGMA user_version = {int(version)}")
            return
        # https://www.postgresql.org/docs/current/functions-admin.html#FUNCTIONS-REPLICATION
        cursor.execute("SELECT pg_logical_emit_message(true, 'rainbow', '')")
        cursor.execute("SELECT current_setting('transaction_read_only')::bool")
        if cursor.fetchone()[0]:
            raise OperationalError("it is read-only")


@contextmanager
def ready_database(*, cleanup: bool = False) -> Iterator[str]:
    """Prepares the database, holds it for a server, and yields its description, without a password.

    SQLite's is created and migrated; `cleanup` deletes it first. Raises NotReady.
    """
    if connection.vendor == "sqlite":
        with _embedded(Path(_path()), cleanup=cleanup) as description:
            yield description
        return
    if cleanup:
        raise NotReady("--cleanup is for the embedded database only")
    _check_connection()
    _check_migrations()
    place = connection.settings_dict
    yield f"postgresql {place['NAME']} at {place['HOST'] or 'localhost'}"


@contextmanager
def _embedded(path: Path, *, cleanup: bool) -> Iterator[str]:
    if str(path) == IN_MEMORY:
        raise NotReady("DATABASE_URL: a server needs a file, so that its threads share the database")
    try:
        with held(path, cleanup=cleanup) as new:
            _check_migrations()
            yield f"sqlite {path}" + (" (created)" if new else "")
    except InUse:
        raise NotReady(f"--cleanup: a live server uses {path}; stop it first") from None
    except CannotUse as error:
        raise NotReady(str(error)) from None


def _path() -> str:
    return str(connection.settings_dict["NAME"])


def _check_connection() -> None:
    """Connects once without the pool, which would retry for its whole timeout and hide the error."""
    # A server with SQLite does without it, and starts a tenth of a second sooner.
    psycopg: Any = import_module("psycopg")
    try:
        psycopg.connect(**{"connect_timeout": _PATIENCE_SECONDS, **connection.get_connection_params()}).close()
    except psycopg.Error as error:
        raise NotReady(f"the database does not answer: {' '.join(str(error).split())}") from None


def _check_migrations() -> None:
    if not up_to_date():
        raise NotReady(NOT_UP_TO_DATE)
    connection.close()
