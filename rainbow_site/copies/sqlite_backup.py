"""A copy of a SQLite database that servers use (https://www.sqlite.org/backup.html)."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from rainbow_site.copies.new_file import CannotCopy

_PAGES = 2_000


def back_up(database: Path, draft: Path, *, progress: Callable[[int, int], None]) -> None:
    """Copies what is committed when it begins; `progress` gets the pages that are done, and all. Raises CannotCopy.

    Writers go on: the copy reads within one transaction, which in WAL mode holds up no other and sees no later commit.
    """
    try:
        with closing(_open(database)) as source, closing(sqlite3.connect(draft)) as target:
            source.execute("BEGIN")
            # The transaction begins with its first read.
            source.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
            source.backup(target, pages=_PAGES, progress=lambda _, left, pages: progress(pages - left, pages))
            # One file alone, which can be read where it cannot be written.
            target.execute("PRAGMA journal_mode=DELETE").fetchone()
    except sqlite3.Error as error:
        raise CannotCopy(f"cannot copy {database}: {error}") from None


def verify(copy: Path) -> None:
    """Reads all of it, indexes and references too. Raises CannotCopy."""
    try:
        with closing(_open(copy)) as file:
            wrong = [row[0] for row in file.execute("PRAGMA integrity_check") if row[0] != "ok"]
            orphans = [f"{row[0]} row {row[1]}: no such {row[2]}" for row in file.execute("PRAGMA foreign_key_check")]
    except sqlite3.Error as error:
        wrong, orphans = [str(error)], []
    if wrong or orphans:
        raise CannotCopy(f"the copy is not sound: {(wrong + orphans)[0]}")


def _open(path: Path) -> sqlite3.Connection:
    if not path.is_file():
        raise CannotCopy(f"there is no file {path}")
    # mode=rw makes no new file.
    return sqlite3.connect(f"file:{quote(str(path))}?mode=rw", uri=True, isolation_level=None)
