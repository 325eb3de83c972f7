"""Moving all records from one database to another, be they of different kinds."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import psycopg
from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.models import ContentType
from django.db import DatabaseError, connection, transaction
from django.db.migrations.recorder import MigrationRecorder

from jobs.models import Job, LeaseWatch, RetentionLease
from rainbow_site.copies.export_file import Digest, Migrations, NotAnExport, Reader, opened, written
from rainbow_site.copies.new_file import CannotCopy, new_file
from rainbow_site.copies.rows import insert, lines_of
from rainbow_site.copies.sequences import ids_of, set_ids
from rainbow_site.copies.stopped import servers_stopped
from rainbow_site.copies.tables import Table, tables
from rainbow_site.process.schema import NOT_UP_TO_DATE, up_to_date

# What migrations, and a server that once started, put into a database: replaced by what the file holds.
_MADE = tuple(
    model._meta.db_table
    for model in (Group.permissions.through, Group, Permission, ContentType, LeaseWatch, RetentionLease)
)
_JOBS = Job._meta.db_table

Progress = Callable[[str], None]
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    jobs: int
    rows: int
    tables: int


def export_database(path: Path, *, progress: Progress) -> Moved:
    """Writes all records to a new file. Raises CannotCopy."""
    _check_migrations()
    numbers = {}
    with servers_stopped(), new_file(path) as draft, _snapshot(), written(draft, _applied()) as writer:
        for table in tables():
            lines = _told(lines_of(table), partial(_tell, progress, table.name))
            numbers[table.name] = writer.table(table, lines, ids_of(table.name))
    return _moved(numbers)


def import_database(path: Path, *, progress: Progress) -> Moved:
    """Puts all records of a file into an empty database, or none. Raises CannotCopy."""
    _check_migrations()
    try:
        with servers_stopped(), opened(path) as file:
            if file.migrations != _applied():
                raise NotAnExport("it is of another release: its database had other migrations than this one")
            numbers = _load_all(file, progress)
    except NotAnExport as error:
        raise CannotCopy(f"{path}: {error}") from None
    except (DatabaseError, psycopg.Error) as error:
        raise CannotCopy(f"the database takes no import of {path}: {' '.join(str(error).split())}") from None
    _settle()
    return _moved(numbers)


@transaction.atomic
def _load_all(file: Reader, progress: Progress) -> dict[str, int]:
    _lock_tables()
    _empty()
    numbers = {}
    for table in tables():
        numbers[table.name] = _load(table, file, progress)
    file.end()
    connection.check_constraints()
    return numbers


def _load(table: Table, file: Reader, progress: Progress) -> int:
    rows = file.rows(table)
    insert(table, _told(rows, lambda number: _tell(progress, f"{file.percent} %: {table.name}", number)))
    set_ids(table.name, rows.ids)
    progress(f"{file.percent} %: {table.name}, comparing")
    there = Digest()
    for line in lines_of(table):
        there.add(line)
    if there.said() != rows.digest.said():
        raise NotAnExport(f"the rows of {table.name} are not the same in this database")
    return there.rows


def _told(rows: Iterable[T], tell: Callable[[int], None]) -> Iterator[T]:
    for number, row in enumerate(rows, start=1):
        if number % 1_000 == 0:
            tell(number)
        yield row


def _tell(progress: Progress, what: str, number: int) -> None:
    progress(f"{what}, {number:,} rows")


def _check_migrations() -> None:
    if not up_to_date():
        raise CannotCopy(NOT_UP_TO_DATE)


def _applied() -> Migrations:
    return sorted(map(list, MigrationRecorder(connection).applied_migrations()))


@contextmanager
def _snapshot() -> Iterator[None]:
    with transaction.atomic():
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield


def _lock_tables() -> None:
    if connection.vendor == "postgresql":
        names = ", ".join(table.name for table in tables())
        with connection.cursor() as cursor:
            cursor.execute(f"LOCK TABLE {names} IN EXCLUSIVE MODE")
            # Those first that others refer to: what would be checked at the commit would be kept in memory until then.
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")


def _empty() -> None:
    """Deletes what migrations made. Raises CannotCopy if there is more."""
    with connection.cursor() as cursor:
        for name in [table.name for table in tables() if table.name not in _MADE]:
            cursor.execute(f"SELECT EXISTS (SELECT 1 FROM {name})")
            if cursor.fetchone()[0]:
                raise CannotCopy(f"the database is not empty: {name} has rows; import into a new one")
        for name in _MADE:
            cursor.execute(f"DELETE FROM {name}")


def _settle() -> None:
    """What the database would do later, while servers wait for it."""
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE" if connection.vendor == "postgresql" else "PRAGMA wal_checkpoint(TRUNCATE)")


def _moved(numbers: dict[str, int]) -> Moved:
    return Moved(jobs=numbers[_JOBS], rows=sum(numbers.values()), tables=len(numbers))
