"""Gets the files of held jobs to this machine before they are handed over, in threads beside the agent's round."""

import hashlib
import logging
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from rainbow.agent.context import AgentContext
from rainbow.agent.daemon_threads import DaemonThreads
from rainbow.agent.downloads import BeingFetched, Downloads
from rainbow.agent.held_job import HeldJob
from rainbow.agent.input_sources import SourceAway, SourceRefused
from rainbow.agent.journal import Entry
from rainbow.errors import FailedPrecondition, InvalidArgument, NotFound, PermissionDenied, Unimplemented
from rainbow.executors.job_files import digest_of
from rainbow.spec_rules import MAX_INPUTS_BYTES
from rainbow.system.disk_space import DiskFull, is_full
from rainbow.telemetry.lines import Line

AT_ONCE, DOWNLOADS_AT_ONCE = 2, 4
TRY_AGAIN = timedelta(seconds=5)
# A file that the disk is too small for would otherwise be fetched all the time.
TRY_AGAIN_FULL = timedelta(minutes=5)
_BEING_FETCHED = "its input_urls are being fetched"
_PLACE, _DOWNLOADS = "staged", "downloads"
# Everything else is waited for.
_FINAL = (NotFound, InvalidArgument, PermissionDenied, FailedPrecondition, Unimplemented)

_log = logging.getLogger("rainbow.agent")


class FilesRefused(Exception):
    """The job can never have its files; the text says why, for its submitter."""


@dataclass(slots=True, kw_only=True)
class _Staged:
    future: Future[None]
    # Set once the job needs its files no more.
    stops: threading.Event
    again_at: datetime | None = None


class Staging:
    """`tell` is called in another thread when files have arrived, or will not."""

    def __init__(self, context: AgentContext, folder: Path, *, tell: Callable[[], None]) -> None:
        self._context = context
        self._folder = folder / _PLACE
        self._tell = tell
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="files")
        self._downloads = Downloads(folder / _DOWNLOADS, context.policy.input_sources)
        self._downloading = DaemonThreads(DOWNLOADS_AT_ONCE, name="downloads")
        self._staged: dict[str, _Staged] = {}
        # An earlier agent's are fetched again: it may have been killed in the middle of one.
        shutil.rmtree(self._folder, ignore_errors=True)

    def refusal(self, held: HeldJob) -> str:
        """Why the job never gets its files; empty where it has them, needs none, or they are on their way."""
        staged = self._staged.get(held.key)
        if staged is None or not staged.future.done():
            return ""
        error = staged.future.exception()
        return str(error) if isinstance(error, FilesRefused) else ""

    def has_all(self, held: HeldJob) -> bool:
        """Whether the job's files are here. Where they are not, they are fetched."""
        if not _needs_files(held):
            return True
        staged, now = self._staged.get(held.key), self._context.clock()
        if staged is None or (staged.again_at and now >= staged.again_at):
            self._begin(held)
            return False
        if not staged.future.done():
            if held.entry.work.input_urls:
                held.waiting_reason = _BEING_FETCHED
            return False
        error = staged.future.exception()
        if error is None:
            return True
        if not isinstance(error, FilesRefused) and staged.again_at is None:
            staged.again_at = now + (TRY_AGAIN_FULL if isinstance(error, DiskFull) else TRY_AGAIN)
            held.waiting_reason = _trouble(error)
            if isinstance(error, BeingFetched):
                return False
            _log.warning(Line("cannot get the files of a job yet", job=held.entry.jobid, reason=_trouble(error)))
        return False

    def folder_of(self, held: HeldJob) -> str:
        return str(self._folder / held.key) if _needs_files(held) else ""

    def stop(self) -> None:
        """What is being fetched by URL comes no further; of the rest the end is waited for."""
        for staged in self._staged.values():
            staged.stops.set()

    def forget(self, keys: set[str]) -> None:
        """Of all jobs but these nothing is kept, nor fetched any further."""
        for key in self._staged.keys() - keys:
            self._staged[key].stops.set()
            if self._staged[key].future.done():
                del self._staged[key]
                shutil.rmtree(self._folder / key, ignore_errors=True)

    def _begin(self, held: HeldJob) -> None:
        threads = self._downloading if held.entry.work.input_urls else self._threads
        stops = threading.Event()
        future = threads.submit(self._fetch, held.entry, stops)
        self._staged[held.key] = _Staged(future=future, stops=stops)
        future.add_done_callback(lambda _: self._tell())

    def _fetch(self, entry: Entry, stops: threading.Event) -> None:
        """Raises FilesRefused, SourceAway, BeingFetched, RainbowError and OSError."""
        place = self._folder / entry.key
        place.mkdir(parents=True, exist_ok=True, mode=0o700)
        left = MAX_INPUTS_BYTES
        for name, digest in entry.work.inputs.items():
            path = place / digest
            if path.exists():
                left -= path.stat().st_size
                continue
            parts = self._context.client.read_input(
                entry.jobid, attempt=entry.attempt, agent=self._context.settings.agent, sha256=digest
            )
            try:
                left -= _written(parts, path, digest, name, most_bytes=left)
            except _FINAL as error:
                raise FilesRefused(f"inputs: the server does not give {name}: {error}") from error
        for name, url in entry.work.input_urls.items():
            if stops.is_set():
                raise SourceAway("it is no longer wanted")
            try:
                self._downloads.place(url, place / digest_of(url), stops=stops)
            except SourceRefused as error:
                raise FilesRefused(f"input_urls: {name}: {error}") from error


def _needs_files(held: HeldJob) -> bool:
    return bool(held.entry.work.inputs or held.entry.work.input_urls)


def _written(parts: Iterator[bytes], path: Path, digest: str, name: str, *, most_bytes: int) -> int:
    """How many bytes. Under its digest there is nothing but what has it."""
    draft = path.with_suffix(".new")
    size, found = 0, hashlib.sha256()
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600), "wb") as file:
            for part in parts:
                size += len(part)
                if size > most_bytes:
                    raise FilesRefused(f"inputs: with {name} they are more than {MAX_INPUTS_BYTES:,} bytes")
                found.update(part)
                file.write(part)
        if found.hexdigest() != digest:
            raise FilesRefused(f"inputs: {name} is not what the job was submitted with: its SHA-256 is another")
        draft.rename(path)
    finally:
        with suppress(OSError):
            draft.unlink()
    return size


def _trouble(error: BaseException) -> str:
    if isinstance(error, BeingFetched):
        return _BEING_FETCHED
    if isinstance(error, DiskFull):
        return error.message
    if isinstance(error, OSError) and is_full(error):
        return "disk full"
    return f"its files cannot be fetched yet: {error}"
