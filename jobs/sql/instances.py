"""Instances of models from rows. Django's own way, `raw`, finds out anew each time how to read each column."""

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

from django.db import DEFAULT_DB_ALIAS, connection, models

from jobs.sql.statements import Names, Row

M = TypeVar("M", bound=models.Model)


class _Shape(NamedTuple):
    """The attributes that a row has, in the order of the model, where in the row each is, and what makes the values of
    some of what the database returns, other than NULL.
    """

    names: Names
    places: tuple[int, ...]
    readers: list[tuple[int, Callable[[Any], Any]]]


def instances(kind: type[M], columns: Sequence[str], rows: Iterable[Row]) -> list[M]:
    """With these columns of theirs; any other is read when it is asked for."""
    shape = _shape(kind, tuple(columns))
    return [kind.from_db(DEFAULT_DB_ALIAS, shape.names, _values(row, shape)) for row in rows]


def _values(row: Row, shape: _Shape) -> list[Any]:
    values = [row[place] for place in shape.places]
    for place, read in shape.readers:
        if values[place] is not None:
            values[place] = read(values[place])
    return values


@lru_cache
def _shape(kind: type[models.Model], columns: Names) -> _Shape:
    # `from_db` takes them in this order.
    fields = [field for field in kind._meta.concrete_fields if field.column in columns]
    return _Shape(
        names=tuple(field.attname for field in fields),
        places=tuple(columns.index(field.column) for field in fields),
        readers=[(place, read) for place, field in enumerate(fields) for read in _readers(field)],
    )


def _readers(field: "models.Field[Any, Any]") -> list[Callable[[Any], Any]]:
    column = field.get_col(field.model._meta.db_table)
    converters = [*connection.ops.get_db_converters(column), *field.get_db_converters(connection)]

    def reader(convert: Callable[[Any, Any, Any], Any]) -> Callable[[Any], Any]:
        # The connection is each thread's own.
        return lambda value: convert(value, column, connection)

    return list(map(reader, converters))
