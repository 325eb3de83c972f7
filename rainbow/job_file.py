"""Files of jobs, a job on each line."""

import hashlib
import os
import shutil
import stat
import tempfile
from codecs import BOM_UTF8
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import IO

from rainbow import job_lines, submitting
from rainbow.errors import FailedPrecondition, InvalidArgument
from rainbow.job_lines import LONGEST_LINE, job_on
from rainbow.specs import JobSpec

# How many bad lines are shown.
MOST_BAD_LINES = 20
DIGEST_CHARACTERS = 32


# Size and time of the last change.
Version = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A job, and the number of its line, from 1."""

    number: int
    spec: JobSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class BadLine:
    number: int
    error: InvalidArgument


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What a file held: its jobs, its bad lines and the first 20 of those, and the digest of its content.

    `version` tells whether it was changed since.
    """

    jobs: int
    bad: int
    first_bad: tuple[BadLine, ...]
    digest: str
    version: Version


@contextmanager
def readable_twice(source: IO[bytes]) -> Iterator[IO[bytes]]:
    """The source if it is a file on disk at its beginning, otherwise a copy of its content."""
    if _is_on_disk(source) and source.tell() == 0:
        yield source
        return
    with tempfile.TemporaryFile() as copy:
        shutil.copyfileobj(source, copy)
        copy.flush()
        yield copy


def check(file: IO[bytes]) -> Checked:
    version, digest = _version(file), hashlib.sha256()
    jobs, bad, first_bad = 0, 0, list[BadLine]()
    for number, line in _lines(file):
        try:
            found = _checked(line)
            digest.update(found.counts if found else line)
            jobs += found is not None
        except InvalidArgument as error:
            bad += 1
            first_bad += [BadLine(number=number, error=error)][: MOST_BAD_LINES - len(first_bad)]
    name = digest.hexdigest()[:DIGEST_CHARACTERS]
    return Checked(jobs=jobs, bad=bad, first_bad=tuple(first_bad), digest=name, version=version)


def jobs(file: IO[bytes], checked: Checked, *, key_prefix: str) -> Iterator[Line]:
    """The jobs of a file without bad lines. Those without a key get one of prefix and line number.

    Raises FailedPrecondition when the file is changed meanwhile.
    """
    for number, line in _lines(file):
        if not line.isspace():
            spec = _job(line)
            key = spec.idempotency_key or f"{key_prefix}/{number}"
            yield Line(number=number, spec=replace(spec, idempotency_key=key))
    if _version(file) != checked.version:
        raise _changed()


def _is_on_disk(source: IO[bytes]) -> bool:
    try:
        return stat.S_ISREG(os.fstat(source.fileno()).st_mode)
    except OSError:  # not a file of the system
        return False


def _lines(file: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    """The lines and their numbers. A line that is too long is cut to one byte more than is allowed.

    A file that begins with a line of `{` alone holds one job, which is written over several lines.
    """
    file.seek(_start(file))
    if file.readline(LONGEST_LINE + 1).strip() == b"{":
        file.seek(_start(file))
        yield 1, file.read(LONGEST_LINE + 1)
        return
    file.seek(_start(file))
    number = 0
    while line := file.readline(LONGEST_LINE + 1):
        number += 1
        yield number, line
        while len(line) > LONGEST_LINE and not line.endswith(b"\n"):
            line = file.readline(LONGEST_LINE + 1)


def _start(file: IO[bytes]) -> int:
    """Where the content begins: after a byte order mark, if there is one."""
    file.seek(0)
    return len(BOM_UTF8) if file.read(len(BOM_UTF8)) == BOM_UTF8 else 0


def _checked(line: bytes) -> job_lines.LineContent | None:
    """The job on the line; None where there is only white space. Raises InvalidArgument for anything else."""
    if line.isspace():
        return None
    found = job_on(line)
    submitting.message(found.spec)
    return found


def _job(line: bytes) -> JobSpec:
    try:
        return job_on(line).spec
    except InvalidArgument as error:
        raise _changed() from error


def _version(file: IO[bytes]) -> Version:
    found = os.fstat(file.fileno())
    return found.st_size, found.st_mtime_ns


def _changed() -> FailedPrecondition:
    return FailedPrecondition("the file was changed while it was submitted; some of its jobs are queued")
