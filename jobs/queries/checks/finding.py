from collections.abc import Iterator
from dataclasses import dataclass

from jobs.sql.statements import fetch

# Rows of a table that are read in one statement.
_PAGE = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A row that does not agree with others, and how."""

    check: str
    table: str
    row: int
    says: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """The ids after one, up to another."""

    after: int
    last: int


def ranges_of(table: str) -> Iterator[Range]:
    """The rows that the table has now, a thousand at a time."""
    [(after, end)] = fetch(f"SELECT COALESCE(MIN(id), 0) - 1, COALESCE(MAX(id), -1) FROM {table}", [])
    while after < end:
        page = f"SELECT id FROM {table} WHERE id > %s ORDER BY id LIMIT {_PAGE}"
        [(last,)] = fetch(f"SELECT MAX(id) FROM ({page}) page", [after])
        if last is None:
            return
        yield Range(after=after, last=last)
        after = last
