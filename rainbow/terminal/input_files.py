"""The files that `rainbow submit --input` names."""

import hashlib
import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

import click

from rainbow.errors import InvalidArgument, why
from rainbow.spec_rules import MAX_INPUTS_BYTES, check_file_names


def as_input_paths(ctx: click.Context, param: click.Parameter, value: Iterable[str]) -> dict[str, Path]:
    """By their names in the job's folder: NAME=FILE, or FILE alone, which keeps its path if that is relative."""
    paths: dict[str, Path] = {}
    for text in value:
        name, equals, file = text.partition("=")
        if not equals:
            name = PurePosixPath(text).name if text.startswith("/") else str(PurePosixPath(text))
        if name in paths:
            raise click.BadParameter(f"{name} is given twice.", ctx, param)
        paths[name] = Path(file if equals else text)
    try:
        check_file_names(paths, field="")
    except InvalidArgument as error:
        text = f"{error.message}; give NAME=FILE to name a file in the job's folder."
        raise click.BadParameter(text, ctx, param) from error
    return paths


def read_inputs(paths: Mapping[str, Path]) -> dict[str, bytes]:
    """Raises InvalidArgument for what is no file, cannot be read, or is too much."""
    contents: dict[str, bytes] = {}
    left = MAX_INPUTS_BYTES
    for name, path in paths.items():
        contents[name] = _content(path, most_bytes=left)
        left -= len(contents[name])
    return contents


def digests(contents: Mapping[str, bytes]) -> dict[str, str]:
    return {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}


def _content(path: Path, *, most_bytes: int) -> bytes:
    try:
        # A pipe would be waited for.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise InvalidArgument(f"{path} is not a file", field="inputs")
            content = file.read(most_bytes + 1)
    except OSError as error:
        raise InvalidArgument(f"cannot read {path}: {why(error)}", field="inputs") from error
    if len(content) > most_bytes:
        raise InvalidArgument(
            f"must be at most {MAX_INPUTS_BYTES:,} bytes in all, and with {path} they are more", field="inputs"
        )
    return content
