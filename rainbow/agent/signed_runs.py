"""Which signatures have run, on disk: a server that has a signed job could hand it out again, under another id."""

import os
import sqlite3
from datetime import datetime, timedelta
from pathlib import Path

from rainbow.agent.journal_errors import as_journal_errors
from rainbow.signatures import Statement
from rainbow.system.untrusted_files import open_or_make

# After that time the signature has expired, also where the clock was wrong for a while.
KEPT = timedelta(days=7)
SCHEMA = """
CREATE TABLE IF NOT EXISTS run (
    nonce TEXT NOT NULL,
    jobid INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    over INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (nonce, jobid, attempt)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS expiring ON run (expires_at);
"""


class SignedRuns:
    """In the agent's state folder, which the journal has locked. Each call is on disk when it returns.

    Raises DiskFull, and then notes nothing, and JournalUnusable.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "signatures.db"
        with as_journal_errors(self._path):
            os.close(open_or_make(self._path))
            self._database = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
            self._database.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._database.execute("PRAGMA synchronous = FULL")
            self._database.executescript(SCHEMA)

    def close(self) -> None:
        self._database.close()

    def claim(self, said: Statement, *, jobid: int, attempt: int, now: datetime) -> str:
        """Why this attempt may not run by this signature; empty where it may.

        The same attempt may ask again until it is over.
        """
        with as_journal_errors(self._path), self._database:
            self._database.execute("BEGIN IMMEDIATE")
            self._database.execute("DELETE FROM run WHERE expires_at < ?", ((now - KEPT).timestamp(),))
            known = self._database.execute("SELECT jobid, attempt, over FROM run WHERE nonce = ?", (said.nonce,))
            runs = {(job, run): over for job, run, over in known}
            if (jobid, attempt) in runs:
                return "its signature was used before, by this attempt" if runs[jobid, attempt] else ""
            if other := next((job for job, _ in runs if job != jobid), None):
                return f"its signature was used before, by job {other}"
            if len(runs) >= said.runs:
                return f"its signature was used before: it is for {said.runs} run{'s' if said.runs > 1 else ''}"
            self._database.execute(
                "INSERT INTO run (nonce, jobid, attempt, expires_at) VALUES (?, ?, ?, ?)",
                (said.nonce, jobid, attempt, said.expires_at),
            )
        return ""

    def end(self, *, jobid: int, attempt: int) -> None:
        """For an attempt of which nothing is left to do: a server that offers it again does not run it again."""
        with as_journal_errors(self._path), self._database:
            self._database.execute("UPDATE run SET over = 1 WHERE jobid = ? AND attempt = ?", (jobid, attempt))

    def release(self, *, jobid: int, attempt: int) -> None:
        """For an attempt that certainly never started."""
        with as_journal_errors(self._path), self._database:
            # One that is over belongs to another job, which had this id before.
            self._database.execute("DELETE FROM run WHERE jobid = ? AND attempt = ? AND NOT over", (jobid, attempt))
