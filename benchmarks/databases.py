"""Fresh databases, removed with the benchmark. Commits are on disk."""

import shutil
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import psycopg

from tests.support.databases import PostgresqlDatabases
from tests.support.postgresql import postgresql_server
from tests.support.servers import migrate


@dataclass(frozen=True, slots=True, kw_only=True)
class Databases:
    """`new` makes the URL of a fresh one. `pid` is the database server's process; None without one."""

    release: str
    new: Callable[[], str]
    pid: int | None = None


@contextmanager
def sqlite(folder: Path, manage: Sequence[str]) -> Iterator[Databases]:
    template = folder / "template.db"
    migrate(f"sqlite:///{template}", manage=manage)

    def new() -> str:
        return f"sqlite:///{shutil.copy(template, folder / f'{uuid4().hex}.db')}"

    yield Databases(release=f"SQLite {sqlite3.sqlite_version}", new=new)


@contextmanager
def postgresql(folder: Path, manage: Sequence[str]) -> Iterator[Databases]:
    """The PostgreSQL of the tests with its default settings."""
    with postgresql_server(parent=folder.parent, fsync=True) as server:
        release = f"PostgreSQL {_release(server.url)}"
        yield Databases(release=release, new=PostgresqlDatabases(server.url, manage=manage).new, pid=server.pid)


# By the folder for their files, and the command of the checkout whose tables they have.
KINDS: dict[str, Callable[[Path, Sequence[str]], AbstractContextManager[Databases]]] = {
    "sqlite": sqlite,
    "postgresql": postgresql,
}


def _release(url: str) -> str:
    with psycopg.connect(url) as connection:
        return str(connection.info.parameter_status("server_version"))
