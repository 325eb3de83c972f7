"""SQLite's errors about the journal, with what an operator can do."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rainbow.errors import FailedPrecondition, why
from rainbow.system.disk_space import DiskFull, takes_nothing

# The primary result code is the lowest byte (https://sqlite.org/rescode.html).
KIND = 0xFF
DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


class JournalUnusable(FailedPrecondition):
    """Without the journal a job could run twice."""


@contextmanager
def as_journal_errors(path: Path) -> Iterator[None]:
    """Raises DiskFull or JournalUnusable for SQLite's errors, and for records that make no sense."""
    try:
        yield
    except sqlite3.Error as error:
        raise _failure(error, path) from error
    except OSError as error:
        raise JournalUnusable(f"the journal {path} cannot be used: {why(error)}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise damaged(path, f"a record of it makes no sense: {error!r}") from error


def damaged(path: Path, how: str) -> JournalUnusable:
    return JournalUnusable(
        f"the journal {path} is damaged ({how}); move it and the files beside it, {path.name}-*, away and start again:"
        " the server and the scheduler are then asked what became of its jobs"
    )


def _failure(error: sqlite3.Error, path: Path) -> FailedPrecondition | DiskFull:
    kind = getattr(error, "sqlite_errorcode", 0) & KIND
    if kind in DAMAGED:
        return damaged(path, str(error))
    # SQLite reports a quota, and some full disks, as an I/O error.
    if kind == sqlite3.SQLITE_FULL or (kind == sqlite3.SQLITE_IOERR and takes_nothing(path.parent)):
        return DiskFull(f"disk full: the journal {path} cannot be written")
    return JournalUnusable(f"the journal {path} cannot be used: {error}")
