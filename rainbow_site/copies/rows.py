"""Reading and writing all rows of a table, in bounded memory."""

from collections.abc import Iterable, Iterator
from itertools import chain, islice

from django.db import connection

from rainbow_site.copies.export_file import line_of
from rainbow_site.copies.tables import Row, Table

# Rows in a statement. A job may have hundreds of kilobytes.
_PAGE = 500
# PostgreSQL keeps in memory which rows of a statement it has to check.
_COPIED = 100_000


def lines_of(table: Table) -> Iterator[bytes]:
    """The rows in the order of their ids, as lines of an export."""
    place = table.names.index("id")
    columns = _quoted(table)
    statement = f"SELECT {columns} FROM {table.name} WHERE id > %s ORDER BY id LIMIT {_PAGE}"
    after = -1
    while True:
        with connection.cursor() as cursor:
            cursor.execute(statement, [after])
            rows = cursor.fetchall()
        if not rows:
            return
        after = rows[-1][place]
        for row in rows:
            values = list(row)
            for at, written in table.written:
                if values[at] is not None:
                    values[at] = written(values[at])
            yield line_of(values)


def insert(table: Table, rows: Iterable[Row]) -> None:
    (_copy if connection.vendor == "postgresql" else _insert)(table, rows)


def _copy(table: Table, rows: Iterable[Row]) -> None:
    statement = f"COPY {table.name} ({_quoted(table)}) FROM STDIN"
    ahead = iter(rows)
    for first in ahead:
        with connection.cursor() as cursor, cursor.copy(statement) as copy:
            for row in chain([first], islice(ahead, _COPIED - 1)):
                copy.write_row(row)


def _insert(table: Table, rows: Iterable[Row]) -> None:
    places = ", ".join(["%s"] * len(table.columns))
    statement = f"INSERT INTO {table.name} ({_quoted(table)}) VALUES ({places})"
    ahead = iter(rows)
    with connection.cursor() as cursor:
        while part := list(islice(ahead, _PAGE)):
            cursor.executemany(statement, part)


def _quoted(table: Table) -> str:
    return ", ".join(f'"{name}"' for name in table.names)
