"""The files that this machine fetched by URL for jobs: a sweep of thousands names one and the same.

Each is kept under its whole URL: nobody gets what was fetched for others by knowing its digest alone.
"""

import hashlib
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from weakref import WeakValueDictionary

from rainbow.agent.input_sources import InputSources, SourceAway, SourceRefused, fetch
from rainbow.executors.job_files import digest_of

# How many bytes are kept for further jobs.
MOST_KEPT_BYTES = 10 * 1024**3
TRIES, PAUSE_SECONDS = 3, 5.0

Fetch = Callable[..., Iterator[bytes]]


class Downloads:
    """Threads may share it."""

    def __init__(self, folder: Path, sources: InputSources, *, fetch: Fetch = fetch) -> None:
        self._folder = folder
        self._sources = sources
        self._fetch = fetch
        self._stops = threading.Event()
        self._turn = threading.Lock()
        # One is there as long as somebody holds it or waits for it.
        self._locks: WeakValueDictionary[str, threading.Lock] = WeakValueDictionary()
        # Of an earlier agent, which was killed in the middle.
        for draft in folder.glob("*.new"):
            with suppress(OSError):
                draft.unlink()

    def stop(self) -> None:
        self._stops.set()

    def place(self, url: str, path: Path) -> None:
        """A copy of its own at that path, whole or not at all. Raises SourceRefused, SourceAway and OSError."""
        digest, name = digest_of(url), hashlib.sha256(url.encode()).hexdigest()
        with self._lock_of(name):
            kept = self._folder / name
            # Whoever runs as this user may have changed it.
            if not kept.exists() or _digest_of(kept) != digest:
                self._get(url, kept, digest)
            os.utime(kept)
            draft = path.with_suffix(".new")
            shutil.copyfile(kept, draft)
            draft.rename(path)
        self._tidy(keeping=name)

    def _lock_of(self, name: str) -> threading.Lock:
        with self._turn:
            return self._locks.setdefault(name, threading.Lock())

    def _get(self, url: str, kept: Path, digest: str) -> None:
        for number in range(1, TRIES + 1):
            try:
                self._try(url, kept, digest)
                return
            except SourceAway as error:
                if number == TRIES and not self._stops.is_set():
                    raise SourceRefused(f"it is not to be had, tried {number} times: {error}") from error
                if self._stops.wait(PAUSE_SECONDS):
                    raise

    def _try(self, url: str, kept: Path, digest: str) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft, found = kept.with_suffix(".new"), hashlib.sha256()
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
            with os.fdopen(os.open(draft, flags, 0o600), "wb") as file:
                for part in self._fetch(url, self._sources, stops=self._stops):
                    found.update(part)
                    file.write(part)
            if found.hexdigest() != digest:
                raise SourceRefused(f"it has the SHA-256 {found.hexdigest()}, which is another")
            draft.rename(kept)
        finally:
            with suppress(OSError):
                draft.unlink()

    def _tidy(self, *, keeping: str) -> None:
        """The one that was needed last goes last."""
        with self._turn, suppress(OSError):
            there = sorted(((path.stat(), path) for path in self._folder.iterdir()), key=lambda one: -one[0].st_mtime)
            left = MOST_KEPT_BYTES
            for found, path in there:
                left -= found.st_size
                is_draft = path.suffix == ".new"
                lock = self._locks.get(path.name)
                if left < 0 and not is_draft and path.name != keeping and not (lock and lock.locked()):
                    path.unlink()


def _digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
