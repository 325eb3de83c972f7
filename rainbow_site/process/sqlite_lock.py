"""The lock that marks a SQLite database as used by live servers."""

import fcntl
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.db import DatabaseError

from rainbow_site.process.schema import migrate
from rainbow_site.sqlite.file import forget, prepare
from rainbow_site.sqlite.locks import holder_of, open_lock

# How long a starting server waits for one that migrates.
PATIENCE_SECONDS = 60
_ASK_AGAIN_SECONDS = 0.1
_SUFFIXES = ("", "-wal", "-shm")
# The mode bits of group and others.
_OTHERS = 0o077
_log = logging.getLogger("rainbow")


class InUse(Exception):
    """A live server uses the database."""


class CannotUse(Exception):
    """The file, or its folder, cannot serve as a database."""


@contextmanager
def held(database: Path, *, cleanup: bool) -> Iterator[bool]:
    """Creates and migrates the database and holds it for a server; yields whether the file is new.

    Several servers may hold it. `cleanup` deletes it first. Raises InUse if another server uses it then, and CannotUse.
    """
    path = f"{database}.lock"
    with _opened(path) as lock:
        if cleanup:
            _lock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _delete(database)
        new = not database.exists()
        _prepare(database)
        if _alone(lock):
            _migrate(database)
        _share(lock, path)
        if database.stat().st_mode & _OTHERS:
            _log.warning("others on this machine can open %s, which holds what jobs run and write: chmod 600", database)
        yield new


@contextmanager
def held_alone(database: Path) -> Iterator[None]:
    """Keeps servers from starting on the database. Raises InUse if one uses it, and CannotUse."""
    with _opened(f"{database}.lock") as lock:
        _lock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield


@contextmanager
def _opened(path: str) -> Iterator[int]:
    try:
        lock = open_lock(path)
    except OSError as error:
        raise CannotUse(f"cannot write {path}: {error.strerror}") from None
    try:
        yield lock
    finally:
        os.close(lock)


def _prepare(database: Path) -> None:
    try:
        prepare(str(database))
    except DatabaseError as error:
        raise CannotUse(str(error)) from None


def _migrate(database: Path) -> None:
    try:
        migrate()
    except DatabaseError as error:
        raise CannotUse(f"cannot use {database}: {error}") from None


def _alone(lock: int) -> bool:
    """Whether this is the only server, which then migrates; otherwise the first of them has migrated."""
    try:
        _lock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except InUse:
        return False
    return True


def _share(lock: int, path: str) -> None:
    """Waits for a server that migrates the database, with a message. Raises CannotUse after the time limit."""
    until = time.monotonic() + PATIENCE_SECONDS
    waits = False
    while not _is_shared(lock):
        holder = holder_of(lock)
        if time.monotonic() > until:
            raise CannotUse(
                f"{holder} has locked {path} for {PATIENCE_SECONDS} seconds; if it is a server that updates the "
                "database, start again when it has done so"
            )
        if not waits:
            waits = True
            _log.info("waiting for %s, which has locked %s", holder, path)
        time.sleep(_ASK_AGAIN_SECONDS)


def _is_shared(lock: int) -> bool:
    try:
        _lock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except InUse:
        return False
    return True


def _lock(lock: int, operation: int) -> None:
    try:
        fcntl.flock(lock, operation)
    except BlockingIOError:
        raise InUse from None


def _delete(database: Path) -> None:
    forget(str(database))
    for suffix in _SUFFIXES:
        database.with_name(database.name + suffix).unlink(missing_ok=True)
