"""A server's database, spoken to directly."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import psycopg

from benchmarks.bench import Server
from benchmarks.cluster import Cluster

JOBS, EVENTS, LABELS, COUNTS = "jobs_job", "jobs_jobevent", "jobs_joblabel", "jobs_jobcount"
# What the server writes of a new job (jobs/services/orders.py), without what has a default; a test compares them.
JOB_COLUMNS = (
    "cluster_id", "queue_id", "submitted_by_id", "name", "command", "nodes", "tasks", "priority",
    "time_limit_seconds", "environment", "working_directory", "labels", "on_lost",
    "idempotency_key", "fingerprint", "state", "submitted_at",
)  # fmt: skip
EVENT_COLUMNS = ("job_id", "at", "what", "state", "attempt", "credential_id", "operator_id", "why", "request_id")

_SQLITE = "sqlite:///"
# As the server commits.
_SQLITE_SETTINGS = "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON"
# PostgreSQL takes text for JSON, but does not give it so.
_JSON = ("environment", "labels")

Row = tuple[Any, ...]


class Connection(Protocol):
    def execute(self, statement: Any, values: Sequence[Any] = ..., /) -> Any: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    job_id: int
    job: Row
    event: Row


def is_sqlite(server: Server) -> bool:
    return server.database_url.startswith(_SQLITE)


def connect(server: Server) -> Connection:
    """A connection that begins no transactions on its own."""
    url = server.database_url
    if not is_sqlite(server):
        return psycopg.connect(url, autocommit=True)
    connection = sqlite3.connect(url.removeprefix(_SQLITE), isolation_level=None, timeout=60, check_same_thread=False)
    connection.executescript(_SQLITE_SETTINGS)
    return connection


@contextmanager
def transaction(connection: Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE" if isinstance(connection, sqlite3.Connection) else "BEGIN")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def pattern_of(cluster: Cluster, server: Server) -> Pattern:
    """Submit a job to the cluster's server and read its rows."""
    (job_id,) = cluster.add_jobs(1)
    with closing(connect(server)) as connection:
        return Pattern(
            job_id=job_id,
            job=_row(connection, JOBS, JOB_COLUMNS, f"id = {job_id}"),
            event=_row(connection, EVENTS, EVENT_COLUMNS, f"job_id = {job_id}"),
        )


def _row(connection: Connection, table: str, columns: Sequence[str], test: str) -> Row:
    names = [f"CAST({name} AS text)" if name in _JSON else name for name in columns]
    found: Row = connection.execute(f"SELECT {', '.join(names)} FROM {table} WHERE {test}").fetchone()
    return found
