"""Files that a job may have made, replaced or removed: no link is followed, no read blocks or is unbounded.

Names are resolved in a folder that is held open, so that no part of their path can be swapped.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

# Without O_NONBLOCK a pipe waits for its writer, and a file with a lease for up to 45 seconds (fcntl(2)).
CAREFULLY = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


@contextlib.contextmanager
def opened_folder(path: Path | str, *, inside: int | None = None) -> Iterator[int]:
    """A handle of a folder. A name inside another one is untrusted: it must be no link."""
    careful = CAREFULLY if inside is not None else os.O_CLOEXEC
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | careful, dir_fd=inside)
    try:
        yield handle
    finally:
        os.close(handle)


@contextlib.contextmanager
def opened(name: str, *, inside: int, flags: int = os.O_RDONLY, owner: int | None = None) -> Iterator[int]:
    """A handle of a regular file of our own, or of the user with the number `owner`. Raises OSError for all else.

    A file of several names may be another user's.
    """
    # Some devices do things when they are opened.
    _check(os.stat(name, dir_fd=inside, follow_symlinks=False), name, owner)
    handle = os.open(name, flags | CAREFULLY, dir_fd=inside)
    try:
        _check(os.fstat(handle), name, owner)
        yield handle
    finally:
        os.close(handle)


def open_or_make(path: Path) -> int:
    """A handle for reading and writing a file of our own, with mode 600. Raises OSError for everything else."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | CAREFULLY, 0o600)
    try:
        _check(os.fstat(handle), str(path))
    except OSError:
        os.close(handle)
        raise
    return handle


def read(name: str, *, inside: int, most_bytes: int, owner: int | None = None) -> bytes:
    """Raises OSError for a larger file, too."""
    with opened(name, inside=inside, owner=owner) as handle:
        content = _read(handle, most_bytes + 1)
    if len(content) > most_bytes:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), name)
    return content


def read_end(name: str, *, inside: int, most_bytes: int, owner: int | None = None) -> bytes:
    """The last bytes of a file of any size; fewer where it shrinks meanwhile."""
    with opened(name, inside=inside, owner=owner) as handle:
        os.lseek(handle, max(0, os.fstat(handle).st_size - most_bytes), os.SEEK_SET)
        return _read(handle, most_bytes)


def _read(handle: int, most_bytes: int) -> bytes:
    content = b""
    while len(content) < most_bytes and (more := os.read(handle, most_bytes - len(content))):
        content += more
    return content


def is_own(found: os.stat_result, owner: int | None) -> bool:
    """Whether it is a regular file of one name, of our own or of that user's."""
    return stat.S_ISREG(found.st_mode) and found.st_uid in (os.geteuid(), owner) and found.st_nlink == 1


def _check(found: os.stat_result, name: str, owner: int | None = None) -> None:
    if not is_own(found, owner):
        raise OSError(errno.EPERM, "not a regular file of our own", name)
