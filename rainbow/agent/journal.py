"""What the agent did with each job, on disk before it does the next thing.

After a crash at any line the journal says, of every job, the last thing that was certain:

- accepted: the server gave it to this agent, and nothing else happened
- submitting: the scheduler may or may not have it, and has to be asked by name
- submitted, running, ended: the scheduler has or had it, under its native id
- reported: the server knows its end; the record may go
"""

import json
import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from enum import IntEnum
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rainbow.agent.journal_errors import as_journal_errors, damaged
from rainbow.agent.state_folder import lock_folder
from rainbow.agent.steady_clock import EARLIEST
from rainbow.errors import FailedPrecondition
from rainbow.executors.executor import Ending, JobPhase, Progress, Ticket
from rainbow.specs import Work, is_index, values_read
from rainbow.system.disk_space import shortage
from rainbow.system.untrusted_files import open_or_make

# 2: runners of local jobs keep their notes outside the job's folder.
VERSION = 2
SCHEMA = """
CREATE TABLE IF NOT EXISTS job (
    key TEXT PRIMARY KEY,
    jobid INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    step INTEGER NOT NULL CHECK (step BETWEEN 1 AND 6),
    work TEXT NOT NULL,
    native_id TEXT NOT NULL DEFAULT '',
    progress TEXT NOT NULL DEFAULT '',
    changed_at TEXT NOT NULL,
    UNIQUE (jobid, attempt)
) STRICT;
CREATE INDEX IF NOT EXISTS unreported ON job (jobid, attempt) WHERE step < 6;
"""


class Step(IntEnum):
    """How far a job got. A step is never taken back."""

    ACCEPTED = 1
    SUBMITTING = 2
    SUBMITTED = 3
    RUNNING = 4
    ENDED = 5
    REPORTED = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One attempt at a job. `progress` is the last that its scheduler said, `noted_at` when a journal noted this."""

    jobid: int
    attempt: int
    work: Work
    step: Step = Step.ACCEPTED
    native_id: str = ""
    progress: Progress | None = None
    noted_at: datetime | None = field(default=None, compare=False)

    @property
    def key(self) -> str:
        """The name of the job in the scheduler."""
        return key_of(self.jobid, self.attempt)

    @property
    def ticket(self) -> Ticket:
        return Ticket(key=self.key, native_id=self.native_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """`at`: when it was reported to its end."""

    ticket: Ticket
    at: datetime


class Journal:
    """The journal in an agent's state folder, which it locks until it is closed.

    Each call is on disk when it returns, except inside `together`. Raises DiskFull where there is no space, and then
    notes nothing; JournalUnusable where the file cannot be read or written. Thread-safe.
    """

    def __init__(self, folder: Path) -> None:
        """Raises FailedPrecondition if another agent uses the folder, a newer one wrote it, or it cannot be used."""
        self._path = folder / "journal.db"
        self._lock = lock_folder(folder)
        try:
            with as_journal_errors(self._path):
                self._database = _open(self._path)
        except BaseException:
            os.close(self._lock)
            raise
        self._turn = threading.RLock()
        self._is_together = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    @property
    def folder(self) -> Path:
        """The agent's state folder."""
        return self._path.parent

    def close(self) -> None:
        self._database.close()
        os.close(self._lock)

    @contextmanager
    def together(self) -> Iterator[None]:
        """Group commit: what is noted inside is on disk when this ends, with one fsync; none of it if this raises."""
        with self._transaction():
            self._is_together = True
            try:
                yield
            finally:
                self._is_together = False

    def accepted(self, entries: Iterable[Entry], *, now: datetime) -> None:
        """Note jobs as far as they got; those that are in the journal already stay as they are."""
        rows = [(*_row(entry), now.isoformat()) for entry in entries]
        with self._transaction() as database:
            database.executemany(
                "INSERT INTO job (key, jobid, attempt, step, work, native_id, progress, changed_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                rows,
            )

    def submitting(self, key: str, *, now: datetime) -> None:
        self._advance(key, Step.SUBMITTING, now)

    def submitted(self, key: str, native_id: str, *, now: datetime) -> None:
        self._advance(key, Step.SUBMITTED, now, native_id=native_id)

    def running(self, key: str, progress: Progress, *, now: datetime) -> None:
        self._advance(key, Step.RUNNING, now, progress=_progress_as_json(progress))

    def ended(self, key: str, progress: Progress, *, now: datetime) -> None:
        """Also for a job that the scheduler never had."""
        self._advance(key, Step.ENDED, now, progress=_progress_as_json(progress))

    def reported(self, keys: Iterable[str], *, now: datetime) -> None:
        """The server knows the end, or wants no more reports of this attempt."""
        with self._transaction() as database:
            database.executemany(
                f"UPDATE job SET step = {Step.REPORTED}, changed_at = ? WHERE key = ?",
                [(now.isoformat(), key) for key in keys],
            )

    def unreported(self) -> list[Entry]:
        """Oldest jobs first."""
        with self._turn, as_journal_errors(self._path):
            rows = self._database.execute("SELECT * FROM job WHERE step < 6 ORDER BY jobid, attempt").fetchall()
            return [_entry(row) for row in rows]

    def done(self) -> list[Done]:
        """What is reported, and whose files may still be there."""
        wanted = f"SELECT key, native_id, changed_at FROM job WHERE step = {Step.REPORTED}"
        with self._turn, as_journal_errors(self._path):
            return [_done(row) for row in self._database.execute(wanted).fetchall()]

    def latest(self) -> datetime:
        """When something was noted last, by the agents' clocks; the earliest time that there is if nothing was."""
        with self._turn, as_journal_errors(self._path):
            (latest,) = self._database.execute("SELECT max(changed_at) FROM job").fetchone()
        return datetime.fromisoformat(latest) if latest else EARLIEST

    def drop(self, keys: Iterable[str]) -> None:
        with self._transaction() as database:
            database.executemany("DELETE FROM job WHERE key = ?", [(key,) for key in keys])

    def shortage(self) -> str:
        """Why its disk should get no more jobs; empty where there is space."""
        return shortage(self._path.parent)

    def _advance(self, key: str, step: Step, now: datetime, *, native_id: str = "", progress: str = "") -> None:
        """Raises FailedPrecondition if the job is not in the journal. A later step stays."""
        with self._transaction() as database:
            known = database.execute(
                "UPDATE job SET step = max(step, ?), changed_at = ?, native_id = iif(? = '', native_id, ?),"
                " progress = iif(? = '' OR step > ?, progress, ?) WHERE key = ?",
                (step, now.isoformat(), native_id, native_id, progress, step, progress, key),
            ).rowcount
        if not known:
            raise FailedPrecondition(f"{key} is not in the journal")

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._turn:
            if self._is_together:
                yield self._database
                return
            with as_journal_errors(self._path), self._database:
                self._database.execute("BEGIN IMMEDIATE")
                yield self._database


def key_of(jobid: int, attempt: int) -> str:
    return f"rainbow-{jobid}-{attempt}"


def _open(path: Path) -> sqlite3.Connection:
    os.close(open_or_make(path))
    database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        _prepare(database, path)
    except BaseException:
        database.close()
        raise
    return database


def _prepare(database: sqlite3.Connection, path: Path) -> None:
    """Writes nothing to a journal that exists, so that it opens on a full disk, too."""
    database.row_factory = sqlite3.Row
    # The folder's lock keeps others out. Alone, SQLite needs no shared memory, for which a file is made.
    database.execute("PRAGMA locking_mode = EXCLUSIVE")
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    database.execute("PRAGMA temp_store = MEMORY")
    version = database.execute("PRAGMA user_version").fetchone()[0]
    if version > VERSION:
        raise FailedPrecondition(f"{path} was written by a newer rainbow; use that one, or another state folder")
    if version < VERSION:
        _check_no_earlier_jobs(database, path.parent)
        database.executescript(SCHEMA)
        database.execute(f"PRAGMA user_version = {VERSION}")
    if (found := database.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
        raise damaged(path, found)


def _check_no_earlier_jobs(database: sqlite3.Connection, folder: Path) -> None:
    """A local job of version 1 has its lock beside its output. Its runner notes the end there, where jobs can write."""
    if not database.execute("SELECT 1 FROM sqlite_schema WHERE name = 'job'").fetchone():
        return
    begun = database.execute(f"SELECT key FROM job WHERE step BETWEEN {Step.SUBMITTING} AND {Step.RUNNING}").fetchall()
    if keys := [key for (key,) in begun if (folder / "jobs" / key / "lock").exists()]:
        raise FailedPrecondition(
            f"an earlier rainbow started jobs of {folder} that this one cannot follow: {', '.join(keys[:10])};"
            " run that one until they are over, or use another state folder"
        )


def _done(row: sqlite3.Row) -> Done:
    return Done(ticket=Ticket(key=row["key"], native_id=row["native_id"]), at=datetime.fromisoformat(row["changed_at"]))


def _entry(row: sqlite3.Row) -> Entry:
    return Entry(
        jobid=row["jobid"],
        attempt=row["attempt"],
        work=Work(**values_read(json.loads(row["work"]))),
        step=Step(row["step"]),
        native_id=row["native_id"],
        progress=_progress_from(json.loads(row["progress"])) if row["progress"] else None,
        noted_at=datetime.fromisoformat(row["changed_at"]),
    )


def _row(entry: Entry) -> tuple[object, ...]:
    progress = _progress_as_json(entry.progress) if entry.progress else ""
    return entry.key, entry.jobid, entry.attempt, entry.step, _written(entry.work), entry.native_id, progress


def _written(work: Work) -> str:
    """Without what is not said, which also earlier releases can read."""
    held = {item.name: getattr(work, item.name) for item in fields(work)}
    said = {name: value for name, value in held.items() if value or name == "command" or is_index(name, value)}
    return json.dumps(said, default=dict)


def _progress_as_json(progress: Progress) -> str:
    """Times are seconds since 1970."""
    return json.dumps(asdict(progress), default=lambda moment: moment.timestamp())


def _progress_from(noted: dict[str, Any]) -> Progress:
    moments = {name: noted[name] and datetime.fromtimestamp(noted[name], UTC) for name in ("started_at", "ended_at")}
    ending = noted["ending"] and Ending(noted["ending"])
    return Progress(**{**noted, **moments, "phase": JobPhase(noted["phase"]), "ending": ending})
