"""Millions of jobs, copied within the database: about 100,000 a second."""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager

from benchmarks.bench import Server
from benchmarks.cluster import JOB, Cluster
from benchmarks.storage import COUNTS, EVENTS, JOBS, LABELS, Connection, connect, is_sqlite, transaction
from rainbow.protos import rainbow_pb2 as pb

# In one transaction, short enough for the server's own writes.
_CHUNK = 250_000
_SQLITE_SETTINGS = ("PRAGMA synchronous=OFF", "PRAGMA cache_size=-200000")
_POSTGRESQL_SETTINGS = ("SET synchronous_commit = off",)
_OVER = {"state": "'completed'", "finished_at": "o.submitted_at"}
_NOTHING: Mapping[str, str] = {}
_NUMBERS = {
    True: "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {})",
    False: "WITH numbers(n) AS (SELECT generate_series(1, {}))",
}


def fill(cluster: Cluster, server: Server, *, finished: int = 0, waiting: int, like: pb.JobSpec = JOB) -> range:
    """Add final jobs, then waiting ones, with their events, labels and counts; returns the ids of the latter."""
    (job_id,) = cluster.add_jobs(1, like)
    with _open(server) as connection:
        _copy(connection, [job_id], finished, _OVER)
        ids = _copy(connection, [job_id], waiting)
        _count(connection, job_id, finished, waiting)
    return ids


def fill_like(server: Server, job_ids: Sequence[int], *, each: int) -> None:
    """Add so many waiting jobs like each of these, in turn, with their events and counts."""
    with _open(server) as connection:
        _copy(connection, job_ids, each * len(job_ids))
        for job_id in job_ids:
            _count(connection, job_id, 0, each)


@contextmanager
def _open(server: Server) -> Iterator[Connection]:
    sqlite = is_sqlite(server)
    with closing(connect(server)) as connection:
        for setting in _SQLITE_SETTINGS if sqlite else _POSTGRESQL_SETTINGS:
            connection.execute(setting)
        yield connection
        _settle(connection, sqlite)


def _copy(connection: Connection, job_ids: Sequence[int], count: int, changes: Mapping[str, str] = _NOTHING) -> range:
    sqlite = isinstance(connection, sqlite3.Connection)
    last = before = _last_id(connection)
    patterns = f"IN ({', '.join(map(str, job_ids))})"
    for size in _chunks(count // len(job_ids), _CHUNK // len(job_ids)):
        with transaction(connection):
            numbers = _NUMBERS[sqlite].format(size)
            names = _columns(connection, JOBS)
            values = ", ".join(changes.get(name, f"o.{_quoted(name)}") for name in names)
            source = f"FROM numbers CROSS JOIN {JOBS} o WHERE o.id {patterns} ORDER BY n"
            _insert(connection, JOBS, names, f"{numbers} SELECT {values} {source}")
            for table in (EVENTS, LABELS):
                names = _columns(connection, table)
                values = ", ".join("j.id" if name == "job_id" else f"o.{_quoted(name)}" for name in names)
                source = f"{JOBS} j, {table} o WHERE j.id > {last} AND o.job_id = {job_ids[0]}"
                _insert(connection, table, names, f"SELECT {values} FROM {source} ORDER BY j.id")
        last = _last_id(connection)
    return range(before + 1, last + 1)


def _insert(connection: Connection, table: str, names: list[str], source: str) -> None:
    connection.execute(f"INSERT INTO {table} ({', '.join(map(_quoted, names))}) {source}")


def _quoted(name: str) -> str:
    # Some are words of SQL.
    return f'"{name}"'


def _chunks(count: int, most: int) -> Iterator[int]:
    for start in range(0, count, most):
        yield min(most, count - start)


def _count(connection: Connection, job_id: int, finished: int, waiting: int) -> None:
    cluster = f"(SELECT cluster_id FROM {JOBS} WHERE id = {job_id})"
    with transaction(connection):
        connection.execute(
            f"UPDATE {COUNTS} SET jobs = jobs + {waiting} WHERE id = "
            f"(SELECT MIN(id) FROM {COUNTS} WHERE cluster_id = {cluster} AND state = 'queued')"
        )
        if finished:
            names = ["cluster_id", "state", "priority", "slot", "jobs"]
            _insert(connection, COUNTS, names, f"VALUES ({cluster}, 'completed', 0, 0, {finished})")


def _settle(connection: Connection, sqlite: bool) -> None:
    """Run the database's own maintenance now, which would else run during the measurement."""
    if sqlite:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    else:
        connection.execute(f"VACUUM (ANALYZE) {JOBS}, {EVENTS}, {LABELS}, {COUNTS}")
        connection.execute("CHECKPOINT")


def _columns(connection: Connection, table: str) -> list[str]:
    described = connection.execute(f"SELECT * FROM {table} LIMIT 0").description
    return [column[0] for column in described if column[0] != "id"]


def _last_id(connection: Connection) -> int:
    return int(connection.execute(f"SELECT MAX(id) FROM {JOBS}").fetchone()[0])
