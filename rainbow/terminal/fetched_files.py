"""The files that `rainbow fetch` writes: within one folder, whatever their names and what is there already."""

import contextlib
import os
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from rainbow.errors import AlreadyExists, RainbowError
from rainbow.file_patterns import file_patterns, is_meant
from rainbow.records import JobFile

CAREFULLY = os.O_NOFOLLOW | os.O_CLOEXEC


def chosen(files: Iterable[JobFile], patterns: Sequence[str]) -> list[JobFile]:
    """Those that a pattern means, or that lie below one; all where there is none."""
    meant = file_patterns(patterns)
    return [file for file in files if is_meant(file.name, meant)]


def save(parts: Iterable[bytes], name: str, *, size: int, to: Path, force: bool) -> int:
    """Writes a file whole or not at all; returns its bytes. Raises AlreadyExists, OSError, and what `parts` raises.

    Its name has been checked. No link below `to` is followed.
    """
    to.mkdir(parents=True, exist_ok=True)
    try:
        return _save(parts, name, size=size, to=to, force=force)
    except OSError as error:
        # It names a draft, or a part of the path.
        raise OSError(error.errno, error.strerror, str(to / name)) from error


def _save(parts: Iterable[bytes], name: str, *, size: int, to: Path, force: bool) -> int:
    *folders, last = name.split("/")
    with contextlib.ExitStack() as stack:
        inside = stack.enter_context(_opened(os.open(to, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)))
        for part in folders:
            with contextlib.suppress(FileExistsError):
                os.mkdir(part, dir_fd=inside)
            inside = stack.enter_context(
                _opened(os.open(part, os.O_RDONLY | os.O_DIRECTORY | CAREFULLY, dir_fd=inside))
            )
        if not force and _is_there(last, inside):
            raise _there(name, to)
        draft = f".{secrets.token_hex(8)}.part"
        file = os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | CAREFULLY, 0o666, dir_fd=inside), "wb")
        try:
            with file:
                written = _written(parts, file.write, size)
            if force:
                os.rename(draft, last, src_dir_fd=inside, dst_dir_fd=inside)
            else:
                # Unlike a rename, it replaces nothing.
                os.link(draft, last, src_dir_fd=inside, dst_dir_fd=inside, follow_symlinks=False)
        except FileExistsError as error:
            raise _there(name, to) from error
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(draft, dir_fd=inside)
    return written


def _written(parts: Iterable[bytes], write: Callable[[bytes], int], size: int) -> int:
    """As much as it had when it was listed: it may grow for ever."""
    done = 0
    for part in parts:
        done += write(part[: size - done])
        if done == size:
            break
    if done < size:
        raise RainbowError(f"it has {done:,} bytes by now, and had {size:,}; the job changes it")
    return done


@contextlib.contextmanager
def _opened(handle: int) -> Iterator[int]:
    try:
        yield handle
    finally:
        os.close(handle)


def _is_there(name: str, inside: int) -> bool:
    try:
        os.stat(name, dir_fd=inside, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _there(name: str, to: Path) -> AlreadyExists:
    return AlreadyExists(f"{to / name} is there already; --force replaces it")
