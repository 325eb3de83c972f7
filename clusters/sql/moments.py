from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, overload

from django.db import connection


# The rows of a transaction have few times, each in many columns.
@lru_cache(maxsize=256)
def timestamp(value: datetime) -> Any:
    """A time as this database's cursor takes it."""
    return connection.ops.adapt_datetimefield_value(value)


@overload
def as_datetime(value: datetime | str) -> datetime: ...
@overload
def as_datetime(value: None) -> None: ...
@overload
def as_datetime(value: datetime | str | None) -> datetime | None: ...
def as_datetime(value: datetime | str | None) -> datetime | None:
    """A cursor's timestamp; SQLite returns UTC without a zone, of an expression as text."""
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    return value.replace(tzinfo=UTC) if value and value.tzinfo is None else value
