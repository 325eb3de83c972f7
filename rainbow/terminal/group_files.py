"""The files of the members of a group, each member's in a folder of its own."""

import errno
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from rainbow.client import Client
from rainbow.errors import (
    AlreadyExists,
    DeadlineExceeded,
    FailedPrecondition,
    NotFound,
    RainbowError,
    Unavailable,
    Unimplemented,
    why,
)
from rainbow.records import Job, JobFile
from rainbow.terminal.formatting import count
from rainbow.terminal.group_output import WAITING, label_of
from rainbow.terminal.job_files import fetch, files_meant, has_folder
from rainbow.terminal.live_output import never_started
from rainbow.terminal.output import complain, say, write_json_line
from rainbow.terminal.silent_sites import SilentSites
from rainbow.text import on_one_line

DONE = 0
SOME_FAILED = 5
# What would fail for every other file as well.
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES)


class GroupFiles:
    """Fetches them, and tells of each member whose files could not be had; it goes on with the others."""

    def __init__(self, client: Client, *, patterns: Sequence[str], to: Path, force: bool) -> None:
        self._client = client
        self._patterns = patterns
        self._to = to
        self._force = force
        self._silent = SilentSites()
        self._folders: set[str] = set()

    def fetch(self, members: Iterator[Job], *, only_list: bool, as_json: bool) -> int:
        """Returns the exit code. Raises NotFound where no member has such files."""
        members_in_all = waiting = never = without = failed = 0
        for job in members:
            members_in_all += 1
            folder = self._folder_of(job)
            if job.state in WAITING:
                waiting += 1
                continue
            if never_started(job):
                never += 1
                continue
            files, error = self._listed(job) if has_folder(job) else ([], None)
            if files and not only_list:
                error = self._fetched(job, files, folder)
            without += not files and not error
            failed += bool(error)
            _show(job, files, error, folder=folder, only_list=only_list, as_json=as_json)
        for number, of_one, of_many in (
            (waiting, "has not started", "have not started"),
            (never, "is over and never started", "are over and never started"),
            (without, "has no such files", "have no such files"),
            (failed, "has files that were not fetched", "have files that were not fetched"),
        ):
            if number:
                complain(f"{number:,} of {count(members_in_all, 'job')} {of_one if number == 1 else of_many}.")
        if not failed and waiting + never + without == members_in_all:
            raise NotFound("no job of the group has such files")
        return SOME_FAILED if failed else DONE

    def _folder_of(self, job: Job) -> str:
        """Its index; with its id where an older member has the same."""
        name = f"job-{job.id}" if job.array_index is None else str(job.array_index)
        if name in self._folders:
            name = f"{name}-job-{job.id}"
        self._folders.add(name)
        return name

    def _listed(self, job: Job) -> tuple[list[JobFile], RainbowError | None]:
        if self._silent.has_that_of(job):
            return [], FailedPrecondition(f"the agent of {job.cluster} did not answer before")
        began = time.monotonic()
        try:
            return files_meant(self._client, job, self._patterns), None
        except (FailedPrecondition, Unimplemented) as error:
            self._silent.is_silent_now(job, error, after_seconds=time.monotonic() - began)
            return [], error
        except (Unavailable, DeadlineExceeded):
            raise
        except RainbowError as error:  # a site that names files that do not do, or a job whose record is gone
            return [], error

    def _fetched(self, job: Job, files: Sequence[JobFile], folder: str) -> RainbowError | None:
        """The first failure. A server that is away ends the command, and so does a full disk."""
        failure: RainbowError | None = None
        for file in files:
            try:
                fetch(self._client, job, file, to=self._to, folder=folder, force=self._force)
            except (Unavailable, DeadlineExceeded):
                raise
            except RainbowError as error:
                failure = failure or error
                if not isinstance(error, AlreadyExists):
                    break
            except OSError as error:
                if error.errno in NO_ROOM:
                    raise
                failure = failure or RainbowError(f"{folder}/{file.name}: {why(error)}")
        return failure


def _show(
    job: Job, files: Sequence[JobFile], error: RainbowError | None, *, folder: str, only_list: bool, as_json: bool
) -> None:
    if error:
        complain(on_one_line(f"{label_of(job)}: {error}"))
    if as_json:
        write_json_line(
            {
                "id": job.id,
                "array_index": job.array_index,
                "folder": folder,
                "files": [{"name": file.name, "size": file.size} for file in files],
                "error": error,
            }
        )
    elif only_list:
        for file in files:
            say(f"{file.size:>14,}  {folder}/{file.name}")
