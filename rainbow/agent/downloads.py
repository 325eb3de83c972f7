"""The files that this machine fetched by URL for jobs: a sweep of thousands names one and the same.

Each is kept under its whole URL: nobody gets what was fetched for others by knowing its digest alone.
"""

import hashlib
import os
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from weakref import WeakValueDictionary

from rainbow.agent.input_sources import PART_BYTES, InputSources, SourceAway, SourceRefused, fetch
from rainbow.executors.job_files import digest_of
from rainbow.system.disk_space import DiskFull, is_full, shortage_for_files

# How many bytes are kept for further jobs.
MOST_KEPT_BYTES = 10 * 1024**3
TRIES, PAUSE_SECONDS = 3, 5.0

# How long one waits for the copy of another job before it looks whether it is still being fetched.
LOOK_SECONDS = 0.2

Fetch = Callable[..., Iterator[bytes]]


class BeingFetched(Exception):
    """For another job. Nobody waits for that here, since it may take an hour."""


class Downloads:
    """Threads may share it."""

    def __init__(self, folder: Path, sources: InputSources, *, fetch: Fetch = fetch) -> None:
        self._folder = folder
        self._sources = sources
        self._fetch = fetch
        self._turn = threading.Lock()
        self._being_fetched: set[str] = set()
        # One is there as long as somebody holds it or waits for it.
        self._locks: WeakValueDictionary[str, threading.Lock] = WeakValueDictionary()
        # Of an earlier agent, which was killed in the middle.
        for draft in folder.glob("*.new"):
            with suppress(OSError):
                draft.unlink()

    def place(self, url: str, path: Path, *, stops: threading.Event) -> None:
        """A copy of its own at that path, whole or not at all. Raises SourceRefused, SourceAway, which it does once
        `stops` is set, BeingFetched, DiskFull and OSError.
        """
        digest, name = digest_of(url), hashlib.sha256(url.encode()).hexdigest()
        try:
            with self._locked(name):
                self._place(url, self._folder / name, digest, path, stops)
        except (DiskFull, OSError) as error:
            if isinstance(error, DiskFull) or is_full(error):
                # What is kept for others makes room, for the next time that this is tried.
                self._tidy(most_bytes=0)
            raise
        self._tidy(keeping=name)

    def _place(self, url: str, kept: Path, digest: str, path: Path, stops: threading.Event) -> None:
        # Whoever runs as this user may have changed it.
        if not kept.exists() or _digest_of(kept) != digest:
            with self._fetching(kept.name):
                self._get(url, kept, digest, stops)
        os.utime(kept)
        with kept.open("rb") as content:
            _write(iter(partial(content.read, PART_BYTES), b""), path)

    @contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        with self._turn:
            lock = self._locks.setdefault(name, threading.Lock())
        while not lock.acquire(timeout=LOOK_SECONDS):
            if name in self._being_fetched:
                raise BeingFetched
        try:
            yield
        finally:
            lock.release()

    @contextmanager
    def _fetching(self, name: str) -> Iterator[None]:
        self._being_fetched.add(name)
        try:
            yield
        finally:
            self._being_fetched.discard(name)

    def _get(self, url: str, kept: Path, digest: str, stops: threading.Event) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for number in range(1, TRIES + 1):
            try:
                self._try(url, kept, digest, stops)
                return
            except SourceAway as error:
                if number == TRIES and not stops.is_set():
                    raise SourceRefused(f"it is not to be had, tried {number} times: {error}") from error
                if stops.wait(PAUSE_SECONDS):
                    raise

    def _try(self, url: str, kept: Path, digest: str, stops: threading.Event) -> None:
        found = hashlib.sha256()

        def checked() -> Generator[bytes, None, None]:
            for part in self._fetch(url, self._sources, stops=stops):
                found.update(part)
                yield part
            if found.hexdigest() != digest:
                raise SourceRefused(f"it has the SHA-256 {found.hexdigest()}, which is another")

        with closing(checked()) as parts:
            _write(parts, kept)

    def _tidy(self, *, keeping: str = "", most_bytes: int | None = None) -> None:
        """The one that was needed last goes last."""
        with self._turn, suppress(OSError):
            there = sorted(((path.stat(), path) for path in self._folder.iterdir()), key=lambda one: -one[0].st_mtime)
            left = MOST_KEPT_BYTES if most_bytes is None else most_bytes
            for found, path in there:
                left -= found.st_size
                is_draft = path.suffix == ".new"
                lock = self._locks.get(path.name)
                if left < 0 and not is_draft and path.name != keeping and not (lock and lock.locked()):
                    path.unlink()


def _write(parts: Iterable[bytes], path: Path) -> None:
    """Whole or not at all, and only while the disk has space for others as well."""
    draft = path.with_suffix(".new")
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(draft, flags, 0o600), "wb") as file:
            for part in parts:
                if short := shortage_for_files(path.parent):
                    raise DiskFull(short)
                file.write(part)
        draft.rename(path)
    finally:
        with suppress(OSError):
            draft.unlink()


def _digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
