"""Writing what a registration brought into the configuration file."""

import contextlib
import fcntl
import json
import os
import re
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rainbow.config import parse, read_text
from rainbow.errors import InvalidArgument

BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def save_cluster(path: Path, cluster: str, values: Mapping[str, str | bool]) -> None:
    """Put `values` into the cluster's table, and leave the rest of the file as it is, byte for byte.

    The first cluster of a file becomes its default. The file is replaced in one step and is never readable
    by others. Raises InvalidArgument, and changes nothing, where that cannot be done.
    """
    path = path.resolve()
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with _alone(path):
            _replace(path, with_cluster(read_text(path), cluster, values, path=path))
    except OSError as error:
        raise InvalidArgument(f"cannot write {path}: {error.strerror}") from error


def save_at_top(path: Path, values: Mapping[str, str | bool]) -> None:
    """Put `values` before the tables, where they hold for all clusters; an empty one removes what is there.

    As `save_cluster` otherwise.
    """
    path = path.resolve()
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with _alone(path):
            _replace(path, with_values(read_text(path), values, path=path))
    except OSError as error:
        raise InvalidArgument(f"cannot write {path}: {error.strerror}") from error


def with_values(text: str, values: Mapping[str, str | bool], *, path: Path) -> str:
    """The text of a file with these values before its tables."""
    old = parse(text, path=path)
    said = {name: value for name, value in values.items() if value != ""}
    wanted = {**{name: value for name, value in old.items() if name not in values}, **said}
    lines = text.splitlines(keepends=True)
    end = next((at for at, line in enumerate(lines) if line.lstrip().startswith("[")), len(lines))
    kept = [line for line in lines[:end] if not _sets_any(line, values)]
    new = [f"{_key(name)} = {_written(value)}\n" for name, value in said.items()]
    changed = _ended("".join(kept)) + "".join(new) + ("\n" if new and end < len(lines) else "") + "".join(lines[end:])
    if _parsed(changed) != wanted:
        raise InvalidArgument(f"{path} is written in a way that cannot be changed safely; edit it by hand")
    return changed


def _sets_any(line: str, values: Mapping[str, str | bool]) -> bool:
    found = _parsed(line)
    return found is not None and len(found) == 1 and next(iter(found)) in values


def with_cluster(text: str, cluster: str, values: Mapping[str, str | bool], *, path: Path) -> str:
    """The text of a file with the cluster's table in it."""
    old = parse(text, path=path)
    clusters = old.get("clusters", {})
    wanted = {**old, "clusters": {**clusters, cluster: {**clusters.get(cluster, {}), **values}}}
    if not clusters and "cluster" not in old:
        text, wanted = f"cluster = {quoted(cluster)}\n{text}", {**wanted, "cluster": cluster}
    changed = _with_table(text, cluster, wanted["clusters"][cluster])
    if _parsed(changed) != wanted:
        raise InvalidArgument(f"{path} is written in a way that cannot be changed safely; edit it by hand")
    return changed


def quoted(text: str) -> str:
    """A TOML basic string. JSON's escapes are TOML's, except that TOML escapes DEL too (toml.io v1.0.0)."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Keep out others who write the same file; the lock is a file of its own, since `path` gets replaced."""
    with path.with_name(f".{path.name}.lock").open("w") as lock:
        with contextlib.suppress(OSError):  # some network file systems have no locks
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _replace(path: Path, text: str) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink()
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _with_table(text: str, cluster: str, values: Mapping[str, Any]) -> str:
    lines = text.splitlines(keepends=True)
    start = _header_at(lines, cluster)
    if start is None:
        return _ended(text) + ("\n" if text else "") + _table(cluster, values)
    end = next((at for at in range(start + 1, len(lines)) if lines[at].lstrip().startswith("[")), len(lines))
    blank = "\n" if end < len(lines) else ""
    return "".join(lines[:start]) + _table(cluster, values) + blank + "".join(lines[end:])


def _header_at(lines: list[str], cluster: str) -> int | None:
    header: dict[str, Any] = {"clusters": {cluster: {}}}
    return next((at for at, line in enumerate(lines) if "[" in line and _parsed(line) == header), None)


def _ended(text: str) -> str:
    return text if not text or text.endswith("\n") else f"{text}\n"


def _table(cluster: str, values: Mapping[str, Any]) -> str:
    plain = {name: value for name, value in values.items() if isinstance(value, str | bool | int | float)}
    lines = [f"{_key(name)} = {_written(value)}\n" for name, value in plain.items()]
    return f"[clusters.{_key(cluster)}]\n" + "".join(lines)


def _key(name: str) -> str:
    return name if BARE_KEY.fullmatch(name) else quoted(name)


def _written(value: str | bool | int | float) -> str:
    return quoted(value) if isinstance(value, str) else json.dumps(value)


def _parsed(text: str) -> dict[str, Any] | None:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return None
