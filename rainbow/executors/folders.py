"""What is kept on disk of each job: its output, and notes of its start and its end.

jobs/KEY is the job's, which may have put anything there, so nothing of it is trusted. notes/KEY is what the agent and
its runner write; no job is told of it. A job that runs as another Unix user has its folder in that user's; see
persons.py.
"""

import contextlib
import os
import re
import stat
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from rainbow.errors import InvalidArgument
from rainbow.executors.trash import Trash
from rainbow.file_patterns import FilePatterns, file_patterns
from rainbow.rules import MAX_OUTPUT_BYTES
from rainbow.runner.output import END_BYTES, ERRORS, OUTPUT, over
from rainbow.spec_rules import check_file_names
from rainbow.system import untrusted_files
from rainbow.system.disk_space import is_full

LONGEST_RECORD = 200
# Where a job has its files, in its folder.
FILES = "files"
# What the shell of a job, or of its container, has read once it began.
SECRETS, INSIDE = "secrets", "inside"
WITH_SECRETS = (SECRETS, INSIDE)
MOST_LISTED = 10_000
# Folders count as well, and what does not fit: a job may have made any number of empty ones.
LOOKED_AT_FOR_EACH = 4
# Patterns may take long to compare, and a file system long to answer: the agent's round waits.
LISTING_SECONDS, SECONDS_FOR_EACH = 2.0, 0.001
# A folder that only the agent and one user can reach: so both may write there, and what is made has the agent's group.
SHARED_FOLDER = 0o2777
SHARED_FILE = 0o644
OUTPUTS = (OUTPUT, ERRORS)
# A job may have put any number of files into its folder, as deep as it likes; one with more than this is taken for
# larger than any bound.
MOST_COUNTED_FILES = 10_000
MOST_LEVELS = 32
UNCOUNTED_BYTES = 2**62
# Of st_blocks, whatever the file system (stat(2)).
BLOCK_BYTES = 512

_KEY = re.compile(r"[A-Za-z0-9._-]{1,100}")
# Seconds since 1970, until the year 2286.
_MOMENT = re.compile(r"\d{1,10}(\.\d{1,9})?", re.ASCII)
_NUMBER = re.compile(r"\d{1,10}", re.ASCII)


class NotKept(OSError):
    """What the job wrote was removed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """The names and sizes of a job's files; `more`: there may be others."""

    files: tuple[tuple[str, int], ...]
    more: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """The Unix user whose job it is, and the folder that has a folder of each user."""

    folder: Path
    user: str
    uid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Records:
    """A folder of small files. A file that is not as it was made counts as missing. `owner` may write there, too."""

    state: Path
    place: str
    key: str
    owner: int | None = None

    @property
    def path(self) -> Path:
        return self.state / self.place / self.key

    def make(self) -> None:
        """Raises OSError where something else is in its place."""
        self.path.mkdir(parents=self.owner is None, exist_ok=True, mode=0o700)
        with self.opened() as folder:
            if self.owner is not None and os.fstat(folder).st_uid == os.geteuid():
                os.fchmod(folder, SHARED_FOLDER)

    @contextlib.contextmanager
    def opened(self) -> Iterator[int]:
        with (
            untrusted_files.opened_folder(self.state) as state,
            untrusted_files.opened_folder(self.place, inside=state) as place,
            untrusted_files.opened_folder(self.key, inside=place) as folder,
        ):
            yield folder

    def read(self, name: str, *, most_bytes: int = LONGEST_RECORD) -> bytes:
        try:
            with self.opened() as folder:
                return untrusted_files.read(name, inside=folder, most_bytes=most_bytes, owner=self.owner)
        except OSError:
            return b""

    def words(self, name: str) -> list[str]:
        """Empty where the record is missing or incomplete."""
        content = self.read(name)
        return content.decode("ascii", "replace").split() if content.endswith(b"\n") else []

    def has(self, name: str) -> bool:
        return bool(self.read(name))

    def write_once(self, name: str, content: str) -> None:
        """Make a file unless it exists. Raises OSError where it cannot be made, and then makes none."""
        with contextlib.suppress(FileExistsError), self.opened() as folder:
            file = self._created(name, folder)
            try:
                with os.fdopen(file, "w") as written:
                    written.write(content)
            except OSError:
                os.unlink(name, dir_fd=folder)
                raise

    def keep_durably(self, name: str, content: bytes) -> None:
        """As `keep`; it also outlives a power failure."""
        self.keep(name, content)
        with self.opened() as folder:
            with untrusted_files.opened(name, inside=folder) as file:
                os.fsync(file)
            os.fsync(folder)

    def keep(self, name: str, content: bytes) -> None:
        """Make a file, unless it is there like that. It never changes in place: a process may be reading it."""
        if self.read(name, most_bytes=len(content)) != content:
            self.replace(name, content)

    def replace(self, name: str, content: bytes) -> None:
        """Make a file, in one step, in place of whatever is there."""
        draft = f"{name}.new"
        with self.opened() as folder:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(draft, dir_fd=folder)
            with os.fdopen(self._created(draft, folder), "wb") as file:
                file.write(content)
            os.rename(draft, name, src_dir_fd=folder, dst_dir_fd=folder)

    def _created(self, name: str, folder: int) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | untrusted_files.CAREFULLY
        file = os.open(name, flags, 0o600, dir_fd=folder)
        if self.owner is not None:
            os.fchmod(file, SHARED_FILE)
        return file


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFolder:
    """What the agent's folder holds of one job."""

    state: Path
    key: str
    owner: Owner | None = None

    @property
    def path(self) -> Path:
        return self.job.path

    @property
    def job(self) -> Records:
        if self.owner:
            return Records(state=self.owner.folder, place=self.owner.user, key=self.key, owner=self.owner.uid)
        return Records(state=self.state, place="jobs", key=self.key)

    @property
    def notes(self) -> Records:
        return Records(state=self.state, place="notes", key=self.key)

    @property
    def output(self) -> Path:
        return self.path / OUTPUT

    @property
    def errors(self) -> Path:
        return self.path / ERRORS

    @property
    def started(self) -> Path:
        return self.path / "started"

    @property
    def ended(self) -> Path:
        return self.path / "ended"

    def make(self) -> None:
        self.job.make()
        self.notes.make()

    def remove(self) -> None:
        """Move everything out of the way; `Trash.empty` removes it later.

        Raises OSError. On a full disk the output goes all the same, which makes space.
        """
        try:
            for records in (self.job, self.notes):
                Trash(records.state).take(records.place, self.key)
        except OSError as error:
            if is_full(error):
                self._remove_output()
            raise

    def _remove_output(self) -> None:
        for name in OUTPUTS:
            with contextlib.suppress(OSError), self.job.opened() as folder:
                os.unlink(name, dir_fd=folder)

    def note_cancelled(self) -> None:
        """Does nothing where the disk is full."""
        with contextlib.suppress(OSError):
            self.notes.write_once("cancelled", "cancelled\n")

    @property
    def was_cancelled(self) -> bool:
        return self.notes.has("cancelled")

    def tail(self) -> str:
        """The end of what it wrote, at most 64 KiB, as valid UTF-8 without null characters: of its output, and then of
        its errors, which have at least half where both are long. Empty where there is none yet.

        Raises OSError where something else is in its place.
        """
        errors = self._end_of(ERRORS)
        output = self._end_of(OUTPUT)
        room = max(MAX_OUTPUT_BYTES // 2, MAX_OUTPUT_BYTES - len(output))
        errors = errors[-room:]
        content = (output + errors)[-MAX_OUTPUT_BYTES:]
        text = _whole_characters(content).decode(errors="replace").replace("\0", "\ufffd")
        return _whole_characters(text.encode()[-MAX_OUTPUT_BYTES:]).decode()

    def _end_of(self, name: str) -> bytes:
        try:
            with self.job.opened() as folder:
                return untrusted_files.read_end(name, inside=folder, most_bytes=MAX_OUTPUT_BYTES, owner=self.job.owner)
        except FileNotFoundError:
            return b""

    def size(self, name: str) -> int:
        """How long a file of the job is; 0 where there is none. Raises as `part` does."""
        with self._kept_file(name) as file:
            return 0 if file is None else os.fstat(file).st_size

    def part(self, name: str, *, start: int, most_bytes: int) -> bytes:
        """What is in a file of the job from that byte on; empty at its end, and where there is no such file yet.

        Raises NotKept where the job's folder is gone, and OSError where something else is in the file's place.
        """
        with self._kept_file(name) as file:
            return b"" if file is None else os.pread(file, most_bytes, start)

    @contextlib.contextmanager
    def _opened_if_kept(self) -> Iterator[int]:
        with contextlib.ExitStack() as stack:
            try:
                folder = stack.enter_context(self.job.opened())
            except FileNotFoundError as error:
                raise NotKept("the site keeps the job's output no longer") from error
            yield folder

    @contextlib.contextmanager
    def _kept_file(self, name: str) -> Iterator[int | None]:
        *folders, name = name.split("/")
        with contextlib.ExitStack() as stack:
            folder = stack.enter_context(self._opened_if_kept())
            file: int | None = None
            try:
                for part in folders:
                    folder = stack.enter_context(untrusted_files.opened_folder(part, inside=folder))
                file = stack.enter_context(untrusted_files.opened(name, inside=folder, owner=self.job.owner))
            except FileNotFoundError as error:
                if folders:
                    raise NotKept("the job has no such file") from error
            yield file

    def forget_secrets(self) -> None:
        """Of a job that is over. Its other files may be kept for long."""
        for name in WITH_SECRETS:
            with contextlib.suppress(OSError), self.job.opened() as folder:
                os.unlink(name, dir_fd=folder)

    def files(self, patterns: Sequence[str] = (), *, most: int = MOST_LISTED) -> Listed:
        """What is in its folder of files and fits a pattern, or all, in the order of the names. What is no file of the
        job's, or has a name that no job could say, is left out. Raises NotKept where the job's folder is gone.
        """
        found: list[tuple[str, int]] = []
        more = False
        until = time.monotonic() + LISTING_SECONDS + SECONDS_FOR_EACH * most
        with (
            self._opened_if_kept() as folder,
            contextlib.suppress(FileNotFoundError),
            untrusted_files.opened_folder(FILES, inside=folder) as files,
        ):
            for looked_at, file in enumerate(_looked_at(files, "", self.job.owner, file_patterns(patterns)), 1):
                found += [file] if file else []
                more = len(found) > most or looked_at >= LOOKED_AT_FOR_EACH * most or time.monotonic() >= until
                if more:
                    break
        return Listed(files=tuple(found[:most]), more=more)

    def kept_bytes(self) -> int:
        """How much space the job's folder takes, as far as it can be seen; more than all where it has many files."""
        total = 0
        with contextlib.suppress(OSError), self.job.opened() as opened:
            for number, size in enumerate(_sizes(opened, levels=MOST_LEVELS)):
                total += size
                if number >= MOST_COUNTED_FILES or total >= UNCOUNTED_BYTES:
                    return UNCOUNTED_BYTES
        return total

    def cut_output(self, max_bytes: int) -> None:
        """Cut the middle out of longer outputs; a process that appends goes on behind their end.

        What else is in the place of an output stays as it is.
        """
        path = self.path
        for name in OUTPUTS:
            # Before anything is opened: few are that long, and what is no file of the job's is found then.
            with contextlib.suppress(OSError):
                if os.lstat(f"{path}/{name}").st_size > max_bytes:
                    self._cut(name, max_bytes)

    def _cut(self, name: str, max_bytes: int) -> None:
        note = over(max_bytes)
        with contextlib.suppress(OSError), self.job.opened() as folder:
            if os.stat(name, dir_fd=folder, follow_symlinks=False).st_size <= max_bytes + len(note) + END_BYTES:
                return
            with untrusted_files.opened(name, inside=folder, flags=os.O_RDWR, owner=self.job.owner) as file:
                rest = note + os.pread(file, END_BYTES, os.fstat(file).st_size - END_BYTES)
                os.pwrite(file, rest, max_bytes)
                os.ftruncate(file, max_bytes + len(rest))


def _looked_at(folder: int, above: str, owner: int | None, patterns: FilePatterns) -> Iterator[tuple[str, int] | None]:
    """The name and size of each file below, and None for each thing that is none to be listed."""
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in islice(entries, MOST_LISTED + 1))
    for name in names:
        path = f"{above}{name}"
        try:
            check_file_names([path], field="")
            there = os.stat(name, dir_fd=folder, follow_symlinks=False)
            if stat.S_ISDIR(there.st_mode):
                yield None
                if below := patterns.below(name):
                    with untrusted_files.opened_folder(name, inside=folder) as inside:
                        yield from _looked_at(inside, f"{path}/", owner, below)
            else:
                meant = patterns.mean(name) and untrusted_files.is_own(there, owner)
                yield (path, there.st_size) if meant else None
        # A job may remove them meanwhile.
        except (OSError, InvalidArgument):
            yield None


def _sizes(folder: int, *, levels: int) -> Iterator[int]:
    """Of each thing in it, as far as it can be seen, when it is its turn: a folder may have millions."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if not entry.is_dir(follow_symlinks=False):
                yield _size(entry)
            elif levels:
                yield from _sizes_below(entry.name, folder, levels=levels - 1)
            else:
                yield UNCOUNTED_BYTES


def _sizes_below(name: str, folder: int, *, levels: int) -> Iterator[int]:
    yield 0
    with contextlib.suppress(OSError), untrusted_files.opened_folder(name, inside=folder) as below:
        yield from _sizes(below, levels=levels)


def _size(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat(follow_symlinks=False).st_blocks * BLOCK_BYTES
    except OSError:
        return 0


def is_key(name: str) -> bool:
    return bool(_KEY.fullmatch(name)) and name not in (".", "..")


def folder_of(state: Path, key: str) -> JobFolder:
    if not is_key(key):
        raise ValueError(f"{key!r} cannot name a job")
    return JobFolder(state=state.absolute(), key=key)


def at(seconds: float | str) -> datetime:
    """From seconds since 1970."""
    return datetime.fromtimestamp(float(seconds), UTC)


def moment(text: str) -> datetime | None:
    """From a record that a job may have written; None for what is no time."""
    return at(text) if _MOMENT.fullmatch(text) else None


def number(text: str, *, most: int) -> int | None:
    """A whole number from 0 to `most` from such a record."""
    found = int(text) if _NUMBER.fullmatch(text) else most + 1
    return found if found <= most else None


def _whole_characters(content: bytes) -> bytes:
    """Without the rest of a character that was cut in two: up to three bytes of the form 10xxxxxx (RFC 3629)."""
    cut = next((i for i, byte in enumerate(content[:4]) if byte & 0b11000000 != 0b10000000), 0)
    return content[cut:] if len(content) == MAX_OUTPUT_BYTES else content
