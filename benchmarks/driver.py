"""Bulk insertion by the database driver alone: the limit of the storage."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Any

from benchmarks.bench import Server
from benchmarks.load import Load
from benchmarks.measure import Sample, Times, summarize
from benchmarks.storage import (
    EVENT_COLUMNS,
    EVENTS,
    JOB_COLUMNS,
    JOBS,
    Connection,
    Pattern,
    Row,
    connect,
    is_sqlite,
    transaction,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Insertion:
    """Transactions that add so many jobs like the pattern, in one statement, perhaps with an event for each.

    As many connections as there are in flight; on SQLite, which has one writer at a time, always one.
    """

    name: str
    server: Server
    pattern: Pattern
    jobs: int
    with_events: bool

    def measure(self, *, in_flight: int, seconds: float) -> Sample:
        number = 1 if is_sqlite(self.server) else in_flight
        with ExitStack() as stack:
            connections = [stack.enter_context(closing(connect(self.server))) for _ in range(number)]
            threads = stack.enter_context(ThreadPoolExecutor(number))
            before, began = Times.read(database_pid=self.server.database_pid), time.perf_counter()
            latencies = list(chain(*threads.map(self._insert_until, connections, repeat(began + seconds))))
            taken = time.perf_counter() - began
            spent = Times.read(database_pid=self.server.database_pid).since(before)
        return summarize(Load(seconds=taken, latencies=latencies, failed=0), spent)

    def _insert_until(self, connection: Connection, end: float) -> list[float]:
        table = _Values if is_sqlite(self.server) else _Arrays
        jobs = table(connection, JOBS, JOB_COLUMNS, "command")
        events = table(connection, EVENTS, EVENT_COLUMNS, "job_id")
        commands = [f"hostname {number}" for number in range(self.jobs)]
        latencies: list[float] = []
        while (began := time.perf_counter()) < end or not latencies:
            with transaction(connection):
                ids = jobs.insert(self.pattern.job, commands)
                if self.with_events:
                    events.insert(self.pattern.event, ids)
            latencies.append(time.perf_counter() - began)
        return latencies


class _Values:
    """SQLite: one statement with the values of all rows. The rows are alike but for one column."""

    def __init__(self, connection: Connection, table: str, columns: Sequence[str], varying: str) -> None:
        self._connection = connection
        self._into = f"INSERT INTO {table} ({', '.join(columns)})"
        self._places = f"({','.join('?' * len(columns))})"
        self._varying = columns.index(varying)

    def insert(self, pattern: Row, varying: Sequence[Any]) -> list[int]:
        head, tail = pattern[: self._varying], pattern[self._varying + 1 :]
        values = [value for one in varying for value in (*head, one, *tail)]
        statement = f"{self._into} VALUES {','.join([self._places] * len(varying))} RETURNING id"
        return [row[0] for row in self._connection.execute(statement, values)]


class _Arrays:
    """PostgreSQL: an array for the column that varies, and what is alike once."""

    def __init__(self, connection: Connection, table: str, columns: Sequence[str], varying: str) -> None:
        self._connection = connection
        types = _column_types(connection, table)
        values = ", ".join("one" if name == varying else f"%s::{types[name]}" for name in columns)
        rows = f"SELECT {values} FROM unnest(%s::{types[varying]}[]) AS t(one)"
        self._statement = f"INSERT INTO {table} ({', '.join(columns)}) {rows} RETURNING id"
        self._varying = columns.index(varying)

    def insert(self, pattern: Row, varying: Sequence[Any]) -> list[int]:
        alike = (*pattern[: self._varying], *pattern[self._varying + 1 :])
        return [row[0] for row in self._connection.execute(self._statement, [*alike, list(varying)])]


def _column_types(connection: Connection, table: str) -> dict[str, str]:
    statement = "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = %s::regclass"
    return dict(connection.execute(statement, [table]).fetchall())
