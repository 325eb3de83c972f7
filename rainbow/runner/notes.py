"""A runner's notes about its job. Each is there in full or not at all, also after a power cut."""

import contextlib
import os
import time

from rainbow.system.disk_space import is_full
from rainbow.system.untrusted_files import CAREFULLY

LENGTH = 200
AGAIN_SECONDS = 1.0


class Notes:
    def __init__(self, folder: int) -> None:
        self._folder = folder
        self._reserved: int | None = None

    def close(self) -> None:
        if self._reserved is not None:
            os.close(self._reserved)
        self._reserved = None

    def write_once(self, name: str, *words: object) -> None:
        """Raises FileExistsError if there is such a note."""
        draft = f"{name}.{os.getpid()}"
        with contextlib.closing(os.fdopen(self._create(draft), "wb", buffering=0)) as file:
            _write(file.fileno(), *words)
        try:
            os.link(draft, name, src_dir_fd=self._folder, dst_dir_fd=self._folder)
        finally:
            os.unlink(draft, dir_fd=self._folder)

    def reserve(self, name: str) -> None:
        """Take the space for a note now, so that it can be written when the disk is full."""
        self._reserved = self._create(_draft(name))
        # Without waiting for the disk, as writing would: a power cut ends the job, too.
        os.posix_fallocate(self._reserved, 0, LENGTH)

    def write(self, name: str, *words: object) -> None:
        """Write or replace a note. Waits while the disk is full."""
        while True:
            try:
                return self._replace(name, *words)
            except OSError as error:
                if not is_full(error):
                    raise
                time.sleep(AGAIN_SECONDS)

    def _replace(self, name: str, *words: object) -> None:
        if self._reserved is None:
            self._reserved = self._create(_draft(name))
        _write(self._reserved, *words)
        os.rename(_draft(name), name, src_dir_fd=self._folder, dst_dir_fd=self._folder)

    def _create(self, name: str) -> int:
        return os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | CAREFULLY, 0o600, dir_fd=self._folder)


def _draft(name: str) -> str:
    return f"{name}.new"


def _write(handle: int, *words: object) -> None:
    """Truncate last: the space that a file has is not given back first."""
    text = (" ".join(map(str, words)) + "\n").encode()
    os.pwrite(handle, text, 0)
    os.ftruncate(handle, len(text))
    os.fsync(handle)
