"""The tables that an export holds, and their values as JSON has them: the same for both databases."""

import json
import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cached_property
from graphlib import TopologicalSorter
from typing import Any

from django.apps import apps
from django.contrib.sessions.models import Session
from django.db import connection, models
from django.db.backends.base.operations import BaseDatabaseOperations

from jobs.models.relay import Relay, RelayedChunk

# A reader of the file could be signed in with sessions; people sign in again. Relays end with the server's process.
_LEFT_OUT = (Session, Relay, RelayedChunk)
_RANGES = BaseDatabaseOperations.integer_field_ranges
# In JSON, after an even number of backslashes.
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
_TEXTS = ("CharField", "TextField")
# Of a JSON value. Those of this project have three at most, and Python reads no more than its stack allows.
_DEEPEST = 16

Row = list[Any]


class WrongValue(ValueError):
    """A value that the column cannot have."""


@dataclass(frozen=True)
class Column:
    """A column, and how its values are written to JSON and read from it."""

    field: "models.Field[Any, Any]"

    @property
    def name(self) -> str:
        return str(self.field.column)

    @cached_property
    def kind(self) -> str:
        """As of the column that it refers to."""
        field = self.field
        while isinstance(field, models.ForeignKey):
            field = field.target_field
        return field.get_internal_type()

    @property
    def written(self) -> Callable[[Any], Any] | None:
        """What makes JSON's value of the database's; None where they are the same."""
        return _WRITTEN.get(self.kind)

    @cached_property
    def taken(self) -> Callable[[Any], Any]:
        """What makes the database's value of JSON's, but null. It raises ValueError or TypeError."""
        if self.kind in _RANGES:
            lowest, highest = _RANGES[self.kind]
            return lambda value: _number(value, lowest, highest)
        if self.kind in _TEXTS:
            longest = self.field.max_length
            return lambda value: _text(value, longest)
        return _READ[self.kind]

    def read(self, value: Any) -> Any:
        """The value that the database takes. Raises WrongValue."""
        if value is None:
            if self.field.null:
                return None
            raise WrongValue(f"{self.name}: must not be null")
        try:
            return self.taken(value)
        except (TypeError, ValueError) as error:
            raise WrongValue(f"{self.name}: {error}") from None


@dataclass(frozen=True)
class Table:
    name: str
    columns: Sequence[Column]

    @property
    def names(self) -> list[str]:
        return [column.name for column in self.columns]

    def read(self, values: Row) -> Row:
        """The row that the database takes. Raises WrongValue."""
        try:
            return [
                None if value is None and null else taken(value)
                for (null, taken), value in zip(self._taken, values, strict=True)
            ]
        except (TypeError, ValueError):
            # The same once more, slowly, with the name of the column.
            return [column.read(value) for column, value in zip(self.columns, values, strict=True)]

    @cached_property
    def _taken(self) -> list[tuple[bool, Callable[[Any], Any]]]:
        return [(column.field.null, column.taken) for column in self.columns]

    @cached_property
    def written(self) -> list[tuple[int, Callable[[Any], Any]]]:
        """By their place, the columns whose values are not JSON's."""
        return [(place, one.written) for place, one in enumerate(self.columns) if one.written]


def tables() -> Iterator[Table]:
    """Those first that others refer to, and always in the same order."""
    held = [model for model in apps.get_models(include_auto_created=True) if _is_held(model)]
    order = TopologicalSorter({model: _refers_to(model) for model in held})
    order.prepare()
    while ready := sorted(order.get_ready(), key=lambda model: model._meta.db_table):
        for model in ready:
            columns = [Column(field) for field in model._meta.local_concrete_fields]
            yield Table(name=model._meta.db_table, columns=columns)
        order.done(*ready)


def _is_held(model: type[models.Model]) -> bool:
    return model._meta.managed and not model._meta.proxy and model not in _LEFT_OUT


def _refers_to(model: type[models.Model]) -> set[type[models.Model]]:
    theirs = {field.related_model for field in model._meta.local_concrete_fields if field.is_relation}
    return {other for other in theirs if isinstance(other, type)} - {model}


def _moment_written(value: datetime) -> str:
    """SQLite's are in UTC, without a zone."""
    at = value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
    return at.isoformat(timespec="microseconds")


def _json_written(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value


def _moment(value: Any) -> Any:
    at = datetime.fromisoformat(value)
    if at.utcoffset() is None:
        raise ValueError("has no zone")
    try:
        return connection.ops.adapt_datetimefield_value(at.astimezone(UTC))
    except OverflowError:
        raise ValueError("is out of range") from None


def _day(value: Any) -> Any:
    return connection.ops.adapt_datefield_value(date.fromisoformat(value))


def _number(value: Any, lowest: int, highest: int) -> int:
    if type(value) is not int or not lowest <= value <= highest:
        raise ValueError(f"must be a whole number from {lowest:,} to {highest:,}")
    return value


def _text(value: Any, longest: int | None) -> str:
    if not isinstance(value, str) or "\x00" in value or (longest is not None and len(value) > longest):
        raise ValueError("must be text without NUL" + (f" of at most {longest:,} characters" if longest else ""))
    # Raises ValueError for half of a pair of surrogates.
    value.encode()
    return value


def _json(value: Any) -> str:
    if not _is_shallow(value, _DEEPEST):
        raise ValueError(f"must have at most {_DEEPEST} levels")
    text = json.dumps(value)
    if _NUL.search(text):
        raise ValueError("must be text without NUL")
    # Raises ValueError for half of a pair of surrogates.
    json.dumps(value, ensure_ascii=False).encode()
    return text


def _is_shallow(value: Any, levels: int) -> bool:
    if not isinstance(value, dict | list):
        return True
    inner = value.values() if isinstance(value, dict) else value
    return levels > 0 and all(_is_shallow(one, levels - 1) for one in inner)


def _switch(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


_WRITTEN: dict[str, Callable[[Any], Any]] = {
    "BooleanField": bool,
    "DateField": str,
    "DateTimeField": _moment_written,
    "JSONField": _json_written,
    "BinaryField": lambda value: b64encode(bytes(value)).decode(),
}
_READ: dict[str, Callable[[Any], Any]] = {
    "BooleanField": _switch,
    "DateField": _day,
    "DateTimeField": _moment,
    "JSONField": _json,
    "BinaryField": lambda value: b64decode(value, validate=True),
}
KINDS = frozenset({*_RANGES, *_TEXTS, *_READ})
