"""Whether the database at a path is still the one that was opened: what is written to a deleted file is lost."""

import os
from contextlib import suppress
from pathlib import Path

from django.db import OperationalError

# Device and inode.
_Identity = tuple[int, int]
_Kept = tuple[str, _Identity]

# SQLite keeps these beside the database while it is open (https://www.sqlite.org/walformat.html). Whoever opens it
# after one is gone makes another, and no longer sees what those before write.
_COMPANIONS = ("-wal", "-shm")
# By path, for as long as this process lives.
_OPENED: dict[str, _Identity] = {}


def prepare(path: str) -> None:
    """Before it is opened: makes a new one. Raises OperationalError where another was opened before.

    An empty one in its place would take jobs that are missing in the one that comes back.
    """
    if path in _OPENED:
        _check(path, _OPENED[path])
        return
    # Commands, environments and output of jobs are their owners' business, whichever command comes first. SQLite gives
    # the files that it writes beside the database the mode of the database.
    with suppress(OSError):
        # What is wrong with the place SQLite says itself.
        Path(path).touch(mode=0o600)


def opened_as(path: str) -> str:
    """Which file this process has opened at the path, for `expect` in another; empty for none."""
    device, inode = _OPENED.get(path, ("", ""))
    return f"{device}:{inode}".strip(":")


def expect(path: str, opened: str) -> None:
    """Takes no other file at the path than the one that another process has opened."""
    if opened:
        device, _, inode = opened.partition(":")
        _OPENED[path] = int(device), int(inode)


def forget(path: str) -> None:
    """It is deleted on purpose."""
    _OPENED.pop(path, None)


class OpenFiles:
    """What one connection has open."""

    def __init__(self, path: str) -> None:
        """After it was opened."""
        self._path = path
        self._kept: list[_Kept] = []
        if identity := _identity_of(path):
            _OPENED.setdefault(path, identity)

    def note(self) -> None:
        """Within a transaction, when all of them are there."""
        if not self._kept:
            names = [self._path + suffix for suffix in _COMPANIONS]
            found = [(name, _identity_of(name)) for name in names]
            database = [(self._path, _OPENED[self._path])] if self._path in _OPENED else []
            self._kept = [*database, *((name, identity) for name, identity in found if identity)]

    def check(self) -> None:
        """Raises OperationalError. Costs a microsecond or two a file."""
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
