"""A PostgreSQL that can be killed, starved and slowed down."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg

from tests.support import processes
from tests.support.databases import PostgresqlDatabases
from tests.support.patience import wait_until
from tests.support.postgresql import FAST_SHUTDOWN, PostgresqlFolder, answers, programs_for, user_of_postgresql

CONNECTIONS = 50
SETTINGS = ("fsync=on", f"max_connections={CONNECTIONS}", "max_wal_size=128MB")
# With data of its own of about 60 MiB after a run.
DISK_MIB = 512


class Database:
    """`disk` is the folder of a small file system that holds the data; None where none could be mounted."""

    def __init__(self, folder: Path, *, disk: Path | None) -> None:
        user = user_of_postgresql()
        self._folder = PostgresqlFolder(folder, programs=programs_for(folder, user), user=user)
        self._folder.initialize()
        self.disk = disk
        self._start()
        self.url = PostgresqlDatabases(self._folder.url).new()

    def kill(self) -> None:
        """SIGKILL to the postmaster alone; its children notice and end."""
        self._process.kill()
        self._process.wait()

    def start_again(self) -> None:
        """As a supervisor does, until it serves: children of a killed postmaster may hold its memory for a moment."""
        if self._process.poll() is None and answers(self._folder.url):
            return
        self.stop()
        self._start()

    def stop(self) -> None:
        processes.stop(self._process, gently=FAST_SHUTDOWN)

    def ask(self, *statements: str) -> None:
        with psycopg.connect(self._folder.url, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)

    @contextmanager
    def all_connections(self) -> Iterator[None]:
        """Ends the connections of others and takes every one that there is, those kept for superusers included."""
        held: list[psycopg.Connection[tuple[object, ...]]] = []
        end_others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'postgres' IS FALSE"
        try:
            for _ in range(3 * CONNECTIONS):
                if held:
                    held[0].execute(end_others)
                with suppress(psycopg.OperationalError):
                    held.append(psycopg.connect(self._folder.url, autocommit=True))
            assert len(held) == CONNECTIONS
            yield
        finally:
            for connection in held:
                connection.close()

    def _start(self) -> None:
        self._process = self._folder.start(*SETTINGS)
        wait_until(self._is_up, pause_seconds=0.1)

    def _is_up(self) -> bool:
        if self._process.poll() is not None:
            self._process = self._folder.start(*SETTINGS)
        return answers(self._folder.url)


@contextmanager
def database(*, small: bool = True) -> Iterator[Database]:
    """`small`: on a file system of DISK_MIB, where one can be mounted."""
    folder = Path(tempfile.mkdtemp(prefix="rainbow-chaos-"))
    mounted = small and _mount(folder)
    found: Database | None = None
    try:
        if user := user_of_postgresql():
            shutil.chown(folder, user)
        found = Database(folder, disk=folder if mounted else None)
        yield found
    finally:
        if found:
            found.stop()
        if mounted:
            subprocess.run(["umount", "--lazy", folder], check=True)
        shutil.rmtree(folder, ignore_errors=True)


def _mount(folder: Path) -> bool:
    """Takes root."""
    if os.geteuid() != 0:
        return False
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "rainbow-chaos", str(folder)]
    return subprocess.run(command, capture_output=True).returncode == 0
