"""Removes folders of any size and depth that jobs may have filled, a bit at a time."""

import contextlib
import errno
import itertools
import logging
import os
import stat
import time
from pathlib import Path

from rainbow.system.untrusted_files import CAREFULLY, opened_folder
from rainbow.telemetry.lines import Line

# No user's name, beside whose folders it may lie.
PLACE = "trash"
# Per round, so that the agent's other duties are not late.
SECONDS = 0.1
OURS = 0o700

_log = logging.getLogger("rainbow.executors")


class Trash:
    """Folders move here at once and are emptied later.

    Subfolders move up beside their parent before they are emptied: depth costs neither memory nor open files, and
    another round, or another agent, continues where one stopped.
    """

    def __init__(self, state: Path) -> None:
        self._state = state
        self._path = state / PLACE
        self._stuck: set[str] = set()
        self._numbers = itertools.count(time.time_ns())

    def take(self, place: str, name: str) -> None:
        """Move a folder, or what is in its place, out of the way. Raises OSError where that is not allowed."""
        self._path.mkdir(parents=True, exist_ok=True, mode=OURS)
        with (
            contextlib.suppress(FileNotFoundError),
            opened_folder(self._state) as state,
            opened_folder(place, inside=state) as origin,
            opened_folder(PLACE, inside=state) as trash,
        ):
            self._move(name, origin, trash)

    def empty(self, *, seconds: float = SECONDS) -> bool:
        """Remove what the time allows; whether more is left that can be removed."""
        deadline = time.monotonic() + seconds
        try:
            with opened_folder(self._state) as state, opened_folder(PLACE, inside=state) as trash:
                while name := self._next(trash):
                    if time.monotonic() >= deadline:
                        return True
                    self._remove(name, trash, deadline)
        except FileNotFoundError:
            pass
        return False

    def _next(self, trash: int) -> str:
        with os.scandir(trash) as entries:
            return next((entry.name for entry in entries if entry.name not in self._stuck), "")

    def _remove(self, name: str, trash: int, deadline: float) -> None:
        try:
            if not _is_folder(name, trash):
                os.unlink(name, dir_fd=trash)
            elif self._clear(name, trash, deadline):
                os.rmdir(name, dir_fd=trash)
        except OSError as error:
            if error.errno != errno.ENOTEMPTY:
                # A mount point, or a file that even its owner may not remove: it is left to an operator.
                _log.warning(Line("cannot remove a file", path=self._path / name, error=error))
                self._stuck.add(name)

    def _clear(self, name: str, trash: int, deadline: float) -> bool:
        """Remove what is in a folder, but move its folders up; whether that was all."""
        with opened_folder(name, inside=trash) as folder, os.scandir(folder) as entries:
            for entry in entries:
                if time.monotonic() >= deadline:
                    return False
                if entry.is_dir(follow_symlinks=False):
                    self._move(entry.name, folder, trash)
                else:
                    os.unlink(entry.name, dir_fd=folder)
        return True

    def _move(self, name: str, origin: int, trash: int) -> None:
        if _is_folder(name, origin):
            # Another user's may let us in all the same.
            with contextlib.suppress(PermissionError):
                _make_ours(name, origin)
        os.rename(name, f"{next(self._numbers)}", src_dir_fd=origin, dst_dir_fd=trash)


def _is_folder(name: str, place: int) -> bool:
    return stat.S_ISDIR(os.stat(name, dir_fd=place, follow_symlinks=False).st_mode)


def _make_ours(name: str, place: int) -> None:
    """A folder can be read and moved only by those who may write in it."""
    handle = os.open(name, os.O_PATH | os.O_DIRECTORY | CAREFULLY, dir_fd=place)
    try:
        # There is no fchmod for a handle that was opened without the right to read.
        Path(f"/proc/self/fd/{handle}").chmod(OURS)
    finally:
        os.close(handle)
