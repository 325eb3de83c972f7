"""Detects that the database file was deleted or replaced: writes to a deleted file are lost."""

import os
from contextlib import suppress
from pathlib import Path

from django.db import OperationalError

# Device and inode.
_Identity = tuple[int, int]
_Kept = tuple[str, _Identity]

# SQLite's files beside an open database (https://www.sqlite.org/walformat.html). If one is deleted, later connections
# create another, and no longer see the writes of earlier ones.
_COMPANIONS = ("-wal", "-shm")
# By path.
_OPENED: dict[str, _Identity] = {}


def prepare(path: str) -> None:
    """Creates a missing file before it is opened. Raises OperationalError if this process opened another file there.

    A new empty database in its place would accept jobs that are missing once the file is restored.
    """
    if path in _OPENED:
        _check(path, _OPENED[path])
        return
    # Commands, environments and output of jobs are their owners' business, whichever command comes first. SQLite gives
    # the files that it writes beside the database the mode of the database.
    with suppress(OSError):
        # SQLite reports problems of the path itself.
        Path(path).touch(mode=0o600)


def opened_as(path: str) -> str:
    """The file that this process opened at the path, for `expect` in another process; empty for none."""
    device, inode = _OPENED.get(path, ("", ""))
    return f"{device}:{inode}".strip(":")


def expect(path: str, opened: str) -> None:
    """Refuses any other file at the path."""
    if opened:
        device, _, inode = opened.partition(":")
        _OPENED[path] = int(device), int(inode)


def forget(path: str) -> None:
    """Called when the file is deleted on purpose."""
    _OPENED.pop(path, None)


class OpenFiles:
    def __init__(self, path: str) -> None:
        self._path = path
        self._kept: list[_Kept] = []
        if identity := _identity_of(path):
            _OPENED.setdefault(path, identity)

    def note(self) -> None:
        """Call it within a transaction, when all of the files exist."""
        if not self._kept:
            names = [self._path + suffix for suffix in _COMPANIONS]
            found = [(name, _identity_of(name)) for name in names]
            database = [(self._path, _OPENED[self._path])] if self._path in _OPENED else []
            self._kept = [*database, *((name, identity) for name, identity in found if identity)]

    def check(self) -> None:
        """Raises OperationalError. Takes a microsecond or two per file."""
        for name, identity in self._kept:
            _check(name, identity)


def _check(name: str, identity: _Identity) -> None:
    if _identity_of(name) != identity:
        raise OperationalError(f"{name} was deleted or replaced while this server had it open; stop all servers")


def _identity_of(name: str) -> _Identity | None:
    try:
        status = os.stat(name)  # noqa: PTH116  (Path takes as long again, and each commit waits for it)
    except OSError:
        return None
    return status.st_dev, status.st_ino
