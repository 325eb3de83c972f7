"""Fresh databases for the servers of the tests, of the kind that the suite runs on."""

import fcntl
import hashlib
import os
import shutil
import sqlite3
import sys
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit

import django
import psycopg

from tests.support.servers import MANAGE, ROOT, migrate

# In the environment of all processes of a run.
SHARED_TEMPLATE = "TESTED_TEMPLATE"
# Has one migrated database of SQLite for later runs.
KEPT = ROOT / "build" / "migrated"
# What migrations may import, and models, of which Django makes permissions.
_SOURCES = ("clusters", "grpc_api", "jobs", "rainbow", "rainbow_site")


def migrated_file(folder: Path) -> Path:
    """A migrated database of SQLite in this folder, which all processes of a run share: migrating takes seconds.

    It is the one of an earlier run unless a source or a version has changed since.
    """
    template = folder / "migrated.db"
    with _one_at_a_time(folder):
        if not template.exists():
            unfinished = folder / "unfinished.db"
            unfinished.unlink(missing_ok=True)
            _copy_kept_or_migrate(unfinished)
            unfinished.rename(template)
    return template


def _copy_kept_or_migrate(database: Path) -> None:
    kept = _kept_file()
    try:
        shutil.copy(kept, database)
    except FileNotFoundError:
        migrate(f"sqlite:///{database}")
        # Not if a source was edited meanwhile.
        if kept == _kept_file():
            with suppress(OSError):
                _keep(database, kept)


def _kept_file() -> Path:
    """Its name has a hash of all that it is made of. Of the packages, Django alone has migrations."""
    versions = (sys.version, sqlite3.sqlite_version, django.get_version())
    digest = hashlib.sha256("\0".join(versions).encode())
    for source in sorted(file for folder in _SOURCES for file in (ROOT / folder).rglob("*.py")):
        digest.update(f"\0{source.relative_to(ROOT)}\0{source.stat().st_size}\0".encode())
        digest.update(source.read_bytes())
    return KEPT / f"{digest.hexdigest()}.db"


def _keep(database: Path, kept: Path) -> None:
    KEPT.mkdir(parents=True, exist_ok=True)
    for earlier in KEPT.iterdir():
        earlier.unlink(missing_ok=True)
    unfinished = KEPT / uuid.uuid4().hex
    shutil.copy(database, unfinished)
    unfinished.rename(kept)


@contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    with (folder / "migrated.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


class SqliteDatabases:
    """Copies of the file that was migrated in the folder `shared`."""

    def __init__(self, folder: Path, *, shared: Path) -> None:
        self.folder = folder
        self.shared = shared

    def new(self) -> str:
        database = self.folder / f"{uuid.uuid4().hex}.db"
        shutil.copy(migrated_file(self.shared), database)
        return f"sqlite:///{database}"

    def empty(self) -> str:
        return f"sqlite:///{self.folder / uuid.uuid4().hex}.db"

    def drop_all(self) -> None:
        """The folder goes with the tests."""


class PostgresqlDatabases:
    """Databases of the server that DATABASE_URL names, copied from one that was migrated once.

    Those of a run share that one: SHARED_TEMPLATE has its name, a note in the folder `shared` says that it is there.
    """

    def __init__(self, url: str, *, manage: Sequence[str] = MANAGE, shared: Path | None = None) -> None:
        self.url = url
        self.manage = manage
        self.shared = shared
        self.names: list[str] = []
        self._template = ""

    def new(self) -> str:
        return self._url_of(self._create(_any_name(), template=self.template()))

    def template(self) -> str:
        """The name of the one that was migrated."""
        if not self._template:
            self._template = self._shared_template(self.shared) if self.shared else self._migrated(_any_name())
        return self._template

    def _shared_template(self, folder: Path) -> str:
        name, note = os.environ[SHARED_TEMPLATE], folder / "migrated"
        with _one_at_a_time(folder):
            if not note.exists():
                self._migrated(name)
                note.touch()
        # The process that began the run drops it.
        self.names = [other for other in self.names if other != name]
        return name

    def _migrated(self, name: str) -> str:
        self._create(name)
        migrate(self._url_of(name), manage=self.manage)
        return name

    def empty(self) -> str:
        return self._url_of(self._create(_any_name()))

    def drop_all(self) -> None:
        for name in self.names:
            self.drop(name)

    def drop(self, name: str) -> None:
        self._execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def _create(self, name: str, template: str = "template1") -> str:
        self._execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        self.names.append(name)
        return name

    def _execute(self, statement: str) -> None:
        # libpq refuses Django's own options.
        url = urlsplit(self.url)
        known = urlencode([(name, value) for name, value in parse_qsl(url.query) if name == "host"])
        with psycopg.connect(url._replace(query=known).geturl(), autocommit=True) as connection:
            connection.execute(statement)

    def _url_of(self, name: str) -> str:
        return urlsplit(self.url)._replace(path=f"/{name}").geturl()


def _any_name() -> str:
    return f"rainbow_{uuid.uuid4().hex}"


def databases_of_this_run(folder: Path, *, shared: Path) -> SqliteDatabases | PostgresqlDatabases:
    url = _url_of_this_run()
    return PostgresqlDatabases(url, shared=shared) if url else SqliteDatabases(folder, shared=shared)


def name_shared_template() -> None:
    os.environ[SHARED_TEMPLATE] = _any_name()


def drop_shared_template() -> None:
    if url := _url_of_this_run():
        PostgresqlDatabases(url).drop(os.environ[SHARED_TEMPLATE])


def _url_of_this_run() -> str:
    """Of a server of PostgreSQL; empty on SQLite."""
    url = os.environ.get("DATABASE_URL", "")
    return url if url.startswith("postgres") else ""
