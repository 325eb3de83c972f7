"""Fresh databases of either kind, which end with the benchmark. What is committed to them is on disk."""

import os
import shutil
import signal
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from tests import processes
from tests.databases import PostgresqlDatabases, SqliteDatabases
from tests.postgresql import RELEASE, WHEEL, _answers, _copy_programs


@dataclass(frozen=True, slots=True, kw_only=True)
class Databases:
    """`new` makes the URL of a fresh one. `pid` is the database server's process; None without one."""

    release: str
    new: Callable[[], str]
    pid: int | None = None


@contextmanager
def sqlite(folder: Path) -> Iterator[Databases]:
    yield Databases(release=f"SQLite {sqlite3.sqlite_version}", new=SqliteDatabases(folder).new)


@contextmanager
def postgresql(folder: Path) -> Iterator[Databases]:
    """The PostgreSQL of the tests with its default settings, where the tests' own does not wait for the disk."""
    # PostgreSQL refuses to run as root, and who it runs as cannot enter a private folder.
    user = "nobody" if os.geteuid() == 0 else ""
    place = Path(tempfile.mkdtemp(prefix="rainbow-benchmarks-postgresql-", dir=folder.parent))
    try:
        if user:
            shutil.chown(place, user)
        programs = _copy_programs(place) if user else WHEEL / RELEASE / "bin"
        with _served(place, programs, user) as databases:
            yield databases
    finally:
        shutil.rmtree(place)


KINDS: dict[str, Callable[[Path], AbstractContextManager[Databases]]] = {"sqlite": sqlite, "postgresql": postgresql}


@contextmanager
def _served(place: Path, programs: Path, user: str) -> Iterator[Databases]:
    data, log = place / "data", place / "log"
    access = ("--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")
    if processes.start([programs / "initdb", "-D", data, *access], log=log, user=user).wait():
        raise RuntimeError(f"initdb failed:\n{log.read_text()}")
    url = f"postgresql://postgres@/postgres?host={place}"
    options = ["-c", "listen_addresses=", "-c", f"unix_socket_directories={place}"]
    end = signal.SIGINT
    process = processes.start([programs / "postgres", "-D", data, *options], log=log, user=user, end_with=end)
    try:
        processes.wait_until(lambda: _answers(url), process=process, log=log)
        yield Databases(release=f"PostgreSQL {_release(url)}", new=PostgresqlDatabases(url).new, pid=process.pid)
    finally:
        processes.stop(process, gently=end)


def _release(url: str) -> str:
    with psycopg.connect(url) as connection:
        return str(connection.info.parameter_status("server_version"))
