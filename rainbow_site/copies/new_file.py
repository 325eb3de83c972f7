"""Files that appear under their name once they are complete and on disk."""

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# SQLite's beside a database that it writes.
_COMPANIONS = ("-journal", "-wal", "-shm")
# What link(2) says on file systems without hard links: of the kernel's own, of network shares, and of FUSE.
_NO_HARD_LINKS = (errno.EPERM, errno.EACCES, errno.EOPNOTSUPP, errno.ENOSYS)


class CannotCopy(Exception):
    """The message is for operators."""


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Yields an empty draft beside the path, for its owner alone, which then gets the name. Raises CannotCopy.

    It never replaces a file. A process that is killed leaves the draft, whose name begins with a dot.
    """
    if path.exists() or path.is_symlink():
        raise CannotCopy(f"{path} exists already")
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        draft.touch(mode=0o600, exist_ok=False)
        try:
            yield draft
            _sync(draft)
            _name(draft, path)
            _sync_folder(path.parent)
        finally:
            for suffix in ("", *_COMPANIONS):
                Path(f"{draft}{suffix}").unlink(missing_ok=True)
    except FileExistsError:
        raise CannotCopy(f"{path} exists already") from None
    except OSError as error:
        raise CannotCopy(f"cannot write {path}: {error.strerror}") from None


def _name(draft: Path, path: Path) -> None:
    try:
        path.hardlink_to(draft)
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        if path.exists():
            raise FileExistsError from None
        draft.rename(path)


def _sync(path: Path) -> None:
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _sync_folder(path: Path) -> None:
    try:
        _sync(path)
    except OSError as error:
        # Network file systems that have no such thing (fsync(2)).
        if error.errno != errno.EINVAL:
            raise
