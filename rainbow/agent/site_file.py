"""TOML files of the site, which decide about jobs: whoever may write them may decide, too."""

import os
import shlex
import stat
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rainbow.errors import InvalidArgument, why
from rainbow.text import on_one_line

MOST_BYTES = 4 * 1024 * 1024
OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
OTHERS_READ = stat.S_IRWXO


def toml_in(path: Path, *, is_secret: bool = False) -> dict[str, Any]:
    """Raises InvalidArgument for a file that others may have written, or read where it is secret, and for no TOML."""
    try:
        return tomllib.loads(content_of(path, is_secret=is_secret, most_bytes=MOST_BYTES).decode())
    except UnicodeDecodeError as error:
        raise InvalidArgument(f"cannot read {path}: {why(error)}") from error
    except tomllib.TOMLDecodeError as error:
        raise InvalidArgument(f"{path} is not valid TOML: {error}") from error


def content_of(path: Path, *, is_secret: bool, most_bytes: int) -> bytes:
    """Raises InvalidArgument."""
    try:
        # A pipe would be waited for.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode) or found.st_uid not in (0, os.geteuid()):
                raise InvalidArgument(f"{path} must be a file of root or of the agent's user")
            if found.st_mode & OTHERS_WRITE:
                raise InvalidArgument(f"{path} must not be writable by others: chmod go-w {shlex.quote(str(path))}")
            if is_secret and found.st_mode & OTHERS_READ:
                raise InvalidArgument(f"{path} must not be readable by others: chmod o= {shlex.quote(str(path))}")
            content = file.read(most_bytes + 1)
    except OSError as error:
        raise InvalidArgument(f"cannot read {path}: {why(error)}") from error
    if len(content) > most_bytes:
        raise InvalidArgument(f"{path} is longer than {most_bytes:,} bytes")
    return content


def version_of(path: Path) -> tuple[int, ...]:
    """Another one when the file has changed; empty where there is none."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return (found.st_dev, found.st_ino, found.st_mode, found.st_mtime_ns, found.st_ctime_ns, found.st_size)


def known_only(content: Mapping[str, Any], known: tuple[str, ...], where: str) -> Mapping[str, Any]:
    if unknown := sorted(content.keys() - set(known)):
        raise InvalidArgument(on_one_line(f"{where}: there is no {', '.join(unknown)}; known are {', '.join(known)}"))
    return content


def texts(value: Any, where: str) -> tuple[str, ...]:
    if isinstance(value, list) and all(isinstance(text, str) and text for text in value):
        return tuple(value)
    raise InvalidArgument(f"{where} must be a list of strings that are not empty")
