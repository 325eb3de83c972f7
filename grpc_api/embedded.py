"""The embedded database: one SQLite file, and the lock that tells whether a server lives on it."""

import fcntl
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from django.core.management import call_command
from django.db import DatabaseError

_SUFFIXES = ("", "-wal", "-shm")
# Of a file's mode: what its group and all others may.
_OTHERS = 0o077
_log = logging.getLogger("rainbow")


class InUse(Exception):
    """A live server uses the database."""


class CannotUse(Exception):
    """The file, or its folder, cannot serve as a database."""


@contextmanager
def held(database: Path, *, cleanup: bool) -> Iterator[bool]:
    """Creates and migrates the database and holds it for a server; yields whether the file is new.

    Any number of servers may hold it. `cleanup` deletes it first. Raises InUse when a server would lose it, and
    CannotUse.
    """
    with _opened(database.with_name(database.name + ".lock")) as lock:
        if cleanup:
            _lock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _delete(database)
        new = not database.exists()
        database.touch(mode=0o600)
        if _alone(lock):
            _migrate(database)
        _lock(lock, fcntl.LOCK_SH)
        if database.stat().st_mode & _OTHERS:
            _log.warning("others on this machine can open %s, which holds what jobs run and write: chmod 600", database)
        yield new


def _opened(lock_file: Path) -> IO[str]:
    try:
        return lock_file.open("a")
    except OSError as error:
        raise CannotUse(f"cannot write {lock_file}: {error.strerror}") from None


def _migrate(database: Path) -> None:
    try:
        call_command("migrate", verbosity=0, interactive=False)
    except DatabaseError as error:
        raise CannotUse(f"cannot use {database}: {error}") from None


def _alone(lock: IO[str]) -> bool:
    """Where other servers live already, the first of them has migrated."""
    try:
        _lock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except InUse:
        return False
    return True


def _lock(lock: IO[str], operation: int) -> None:
    try:
        fcntl.flock(lock, operation)
    except BlockingIOError:
        raise InUse from None


def _delete(database: Path) -> None:
    for suffix in _SUFFIXES:
        database.with_name(database.name + suffix).unlink(missing_ok=True)
