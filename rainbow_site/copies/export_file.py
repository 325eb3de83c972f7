"""The file of an export: lines of JSON, compressed with gzip.

The first says the format and the applied migrations. Of each table there is a line with its name and columns, an array
for each row, and a line with the number of rows, their digest, and the ids that new rows get. The last says that it is
complete. docs/backup.md describes it.
"""

import gzip
import hashlib
import json
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from rainbow_site.copies.tables import Row, Table

FORMAT, VERSION = "rainbow-export", 1
# Of the fastest levels each saves little more than the one before.
_LEVEL = 1
# A job with all that it may say is smaller.
_LONGEST_LINE = 64 * 1024 * 1024

Migrations = list[list[str]]


class NotAnExport(Exception):
    """The file cannot be imported; the message is for operators."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ids:
    """The ids that new rows get: from `next` on, up to `last`; None where nothing bounds them but their type."""

    next: int
    last: int | None = None


class Digest:
    """Of the rows of a table, in the order of their ids."""

    def __init__(self) -> None:
        self.rows = 0
        self._sha256 = hashlib.sha256()

    def add(self, line: bytes) -> None:
        self.rows += 1
        self._sha256.update(line)

    def said(self) -> dict[str, Any]:
        return {"rows": self.rows, "sha256": self._sha256.hexdigest()}


def line_of(value: object) -> bytes:
    """The same for the same value, whichever database it is from."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode() + b"\n"


class Writer:
    def __init__(self, file: gzip.GzipFile, migrations: Migrations) -> None:
        self._file = file
        self._write({"format": FORMAT, "version": VERSION, "migrations": migrations})

    def table(self, table: Table, lines: Iterable[bytes], ids: Ids) -> int:
        """Writes all rows of a table; returns how many."""
        self._write({"table": table.name, "columns": table.names})
        digest = Digest()
        for line in lines:
            digest.add(line)
            self._file.write(line)
        self._write({**digest.said(), "ids": asdict(ids)})
        return digest.rows

    def end(self) -> None:
        self._write({"end": True})

    def _write(self, value: object) -> None:
        self._file.write(line_of(value))


@contextmanager
def written(draft: Path, migrations: Migrations) -> Iterator[Writer]:
    with gzip.open(draft, "wb", compresslevel=_LEVEL) as file:
        writer = Writer(file, migrations)
        yield writer
        writer.end()


class Reader:
    """Reads what a Writer wrote, in its order. All methods raise NotAnExport."""

    def __init__(self, file: gzip.GzipFile, raw: IO[bytes], size: int) -> None:
        self._file, self._raw, self._size = file, raw, size
        self._line = 0
        header = self._object()
        if header.get("format") != FORMAT:
            raise NotAnExport("it is no export of rainbow")
        if header.get("version") != VERSION:
            raise NotAnExport(f"its format has the version {header.get('version')}; this release reads {VERSION}")
        self.migrations = header.get("migrations")

    @property
    def percent(self) -> int:
        return self._raw.tell() * 100 // max(1, self._size)

    def rows(self, table: Table) -> "TableReader":
        expected = {"table": table.name, "columns": table.names}
        if self._object() != expected:
            raise self.failure(f"must begin the table {table.name}, with the columns of this release")
        return TableReader(self, table)

    def end(self) -> None:
        if self._object() != {"end": True}:
            raise self.failure("must be the last")
        if self._file.read(1):
            raise self.failure("must be the last, but more follows")

    def next(self) -> tuple[bytes, Any]:
        """The next line, and what it says."""
        self._line += 1
        line = self._file.readline(_LONGEST_LINE + 1)
        if len(line) > _LONGEST_LINE:
            raise self.failure(f"is longer than {_LONGEST_LINE:,} bytes")
        if not line.endswith(b"\n"):
            raise NotAnExport("it is cut off: the end is missing")
        try:
            return line, json.loads(line, parse_constant=_no_constant)
        except (ValueError, RecursionError):
            raise self.failure("is not JSON") from None

    def failure(self, what: str) -> NotAnExport:
        return NotAnExport(f"line {self._line:,} {what}")

    def _object(self) -> dict[str, Any]:
        _, said = self.next()
        if not isinstance(said, dict):
            raise self.failure("must be an object")
        return said


class TableReader:
    """Iterates over the rows of a table, as the database takes them; then `ids` and `digest` are known."""

    def __init__(self, reader: Reader, table: Table) -> None:
        self._reader, self._table = reader, table
        self.digest = Digest()
        self.ids = Ids(next=1)

    def __iter__(self) -> Iterator[Row]:
        length = len(self._table.columns)
        while True:
            line, said = self._reader.next()
            if isinstance(said, dict):
                self._close(said)
                return
            if not isinstance(said, list) or len(said) != length:
                raise self._reader.failure(f"must be a row of {self._table.name}, with {length} values")
            self.digest.add(line)
            try:
                yield self._table.read(said)
            except ValueError as error:
                raise self._reader.failure(f"is no row of {self._table.name}: {error}") from None

    def _close(self, said: dict[str, Any]) -> None:
        if {name: said.get(name) for name in ("rows", "sha256")} != self.digest.said():
            raise self._reader.failure(f"does not agree with the rows of {self._table.name} before it")
        ids = _ids(said.get("ids"))
        if ids is None:
            raise self._reader.failure("must say which ids new rows get")
        self.ids = ids


def _ids(said: Any) -> Ids | None:
    if not isinstance(said, dict) or said.keys() != {"next", "last"}:
        return None
    first, last = said["next"], said["last"]
    whole = type(first) is int and (last is None or type(last) is int)
    return Ids(next=first, last=last) if whole and 1 <= first < 2**63 and (last is None or last < 2**63) else None


def _no_constant(name: str) -> None:
    raise ValueError(name)


@contextmanager
def opened(path: Path) -> Iterator[Reader]:
    """Raises NotAnExport, also later where the file is damaged."""
    try:
        with path.open("rb") as raw, gzip.open(raw) as file:
            yield Reader(file, raw, path.stat().st_size)
    except EOFError:
        raise NotAnExport("it is cut off: the end is missing") from None
    except (gzip.BadGzipFile, zlib.error):
        raise NotAnExport("it is damaged, or no export of rainbow") from None
    except OSError as error:
        raise NotAnExport(f"cannot read it: {error.strerror}") from None
