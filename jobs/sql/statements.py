"""Running a statement, and the INSERTs of many rows."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache, lru_cache
from itertools import chain
from typing import Any, NamedTuple

from django.db import connection, models
from django.db.backends.utils import CursorWrapper

from clusters.sql.cursors import open_cursor, vendor

# The rows of an INSERT: for each column its values, in the order of the rows.
Columns = Mapping[str, Sequence[Any]]
Row = tuple[Any, ...]
Names = tuple[str, ...]
# Where a waiting job stands: its priority, turn and id.
Place = tuple[int, int, int]
# SQLite takes at most 32,766 values in a statement; 256 rows also keep it quick to compile.
_VALUES_ROWS = 256
# PostgreSQL takes arrays faster than long lists of values, and a few values faster than arrays.
_FEW_ROWS = 8


class Statement(NamedTuple):
    text: str
    values: Sequence[Any]


def run_in_order(statements: Sequence[Statement]) -> list[Row]:
    """Runs them in their order, and returns the rows of the last. On PostgreSQL they are one round trip."""
    if statements and _takes_many():
        return _fetch_last("; ".join(one.text for one in statements), list(chain(*(one.values for one in statements))))
    rows: list[Row] = []
    for one in statements:
        rows = fetch(*one)
    return rows


def _takes_many() -> bool:
    # Where the server binds the values, as DATABASE_URL may ask for, it takes one statement at a time.
    return vendor() == "postgresql" and not connection.settings_dict["OPTIONS"].get("server_side_binding")


def _fetch_last(text: str, values: Sequence[Any]) -> list[Row]:
    with open_cursor() as cursor:
        cursor.execute(text, values)
        while cursor.nextset():
            pass
        return cursor.fetchall() if _has_rows(cursor) else []


def fetch(statement: str, values: Sequence[Any]) -> list[Row]:
    with open_cursor() as cursor:
        cursor.execute(statement, values)
        return cursor.fetchall() if _has_rows(cursor) else []


def run(statement: str, values: Sequence[Any]) -> int:
    """The number of rows that it changed."""
    with open_cursor() as cursor:
        cursor.execute(statement, values)
        return int(cursor.rowcount)


def _has_rows(cursor: CursorWrapper) -> bool:
    """Of a statement without any, SQLite returns none, and psycopg refuses to. Its description would be built anew."""
    return vendor() == "sqlite" or cursor.rownumber is not None


# Of ids, in one value: `among_ids` in a condition, and `ids_as_value` for its placeholder.
_AMONG = {"postgresql": "= ANY(%s)", "sqlite": "IN (SELECT value FROM json_each(%s))"}


def among_ids() -> str:
    return _AMONG[vendor()]


def ids_as_value(ids: Iterable[int]) -> list[int] | str:
    return list(ids) if vendor() == "postgresql" else str(list(ids))


def of_many(condition: str) -> str:
    """A condition that half of the rows may meet. SQLite, which has no statistics, takes those with any value for few
    (https://www.sqlite.org/lang_corefunc.html#likelihood).
    """
    return f"likelihood({condition}, 0.5)" if vendor() == "sqlite" else condition


def insert(model: type[models.Model], columns: Columns, further: str = "") -> list[Row]:
    return [row for statement in insertion(model, columns, further) for row in fetch(*statement)]


def insertion(model: type[models.Model], columns: Columns, further: str = "") -> list[Statement]:
    rows = list(zip(*columns.values(), strict=True))
    if vendor() == "postgresql" and len(rows) > _FEW_ROWS:
        return [_insert_arrays(model, columns, len(rows), further)]
    parts = [rows[start : start + _VALUES_ROWS] for start in range(0, len(rows), _VALUES_ROWS)]
    return [
        Statement(_values_statement(model, tuple(columns), further, len(part)), list(chain.from_iterable(part)))
        for part in parts
    ]


@cache
def _values_statement(model: type[models.Model], columns: Names, further: str, rows: int) -> str:
    places = f"({','.join(['%s'] * len(columns))})"
    return f"{_into(model, columns)} VALUES {','.join([places] * rows)} {further}"


def _insert_arrays(model: type[models.Model], columns: Columns, rows: int, further: str) -> Statement:
    """One array a column, or one value where all rows have the same, as in most columns of most batches."""
    # The first column stays an array, since something has to tell how many rows there are.
    same = tuple(name for name in tuple(columns)[1:] if columns[name].count(columns[name][0]) == rows)
    varying = [list(values) for name, values in columns.items() if name not in same]
    statement = _arrays_statement(model, tuple(columns), same, further)
    return Statement(statement, [*(columns[name][0] for name in same), *varying])


# Which columns are the same in all rows is the submitters' choice.
@lru_cache(maxsize=1_000)
def _arrays_statement(model: type[models.Model], columns: Names, same: Names, further: str) -> str:
    types = {name: _column_type(model, name) for name in columns}
    varying = [name for name in columns if name not in same]
    # An array of jsonb would have to be made element by element; text serves.
    arrays = ", ".join(f"%s::{types[name].replace('jsonb', 'text')}[]" for name in varying)
    values = ", ".join(f"{'%s' if name in same else quoted([name])}::{types[name]}" for name in columns)
    source = f"SELECT {values} FROM unnest({arrays}) WITH ORDINALITY AS t({quoted(varying)}, place)"
    return f"{_into(model, columns)} {source} ORDER BY place {further}"


def _into(model: type[models.Model], columns: Names) -> str:
    return f"INSERT INTO {model._meta.db_table} ({quoted(columns)})"


def quoted(names: Iterable[str]) -> str:
    """Names of columns for a statement; some are words of SQL."""
    return ", ".join(f'"{name}"' for name in names)


def _column_type(model: type[models.Model], column: str) -> str:
    field = next(field for field in model._meta.local_concrete_fields if field.column == column)
    return str(field.db_type(connection))
