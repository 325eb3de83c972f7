"""Fresh databases for the servers of the tests, of the kind that the suite runs on."""

import fcntl
import os
import shutil
import uuid
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit

import psycopg

from tests.support.servers import MANAGE, migrate


def migrated_file(folder: Path) -> Path:
    """A migrated database of SQLite in this folder, which all processes of a run share: migrating takes seconds."""
    template = folder / "migrated.db"
    with (folder / "migrated.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not template.exists():
            unfinished = folder / "unfinished.db"
            unfinished.unlink(missing_ok=True)
            migrate(f"sqlite:///{unfinished}")
            unfinished.rename(template)
    return template


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
    """Databases of the server that DATABASE_URL names, copied from one that was migrated once."""

    def __init__(self, url: str, *, manage: Sequence[str] = MANAGE) -> None:
        self.url = url
        self.manage = manage
        self.names: list[str] = []
        self.template = ""

    def new(self) -> str:
        if not self.template:
            self.template = self._create()
            migrate(self._url_of(self.template), manage=self.manage)
        return self._url_of(self._create(template=self.template))

    def empty(self) -> str:
        return self._url_of(self._create())

    def drop_all(self) -> None:
        for name in self.names:
            self._execute(f'DROP DATABASE "{name}" WITH (FORCE)')

    def _create(self, template: str = "template1") -> str:
        name = f"rainbow_{uuid.uuid4().hex}"
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


def databases_of_this_run(folder: Path, *, shared: Path) -> SqliteDatabases | PostgresqlDatabases:
    url = os.environ.get("DATABASE_URL", "")
    return PostgresqlDatabases(url) if url.startswith("postgres") else SqliteDatabases(folder, shared=shared)
