"""Claims: of the scheduler jobs that got one name, by mishap, only one ever runs the command.

A submission that got no answer may arrive after the next one. So a job's script first writes the scheduler job's id to
`started` in the job's folder, unless the file is there; who finds another's id in it does not run the command.
"""

import contextlib
import os
import time
from dataclasses import replace

from rainbow.executors.endings import cancelled
from rainbow.executors.executor import JobPhase, Progress
from rainbow.executors.folders import JobFolder

# In place of a scheduler job's id: the command is never to run.
_WITHDRAWN = "withdrawn"


def claimed_by(folder: JobFolder) -> str:
    """The native id of the scheduler job that runs the command; empty if none does yet."""
    words = folder.read(folder.started)
    return words[0] if words and words[0] != _WITHDRAWN else ""


def withdraw(folder: JobFolder) -> None:
    """Keep every scheduler job of this name from running the command, unless one does already."""
    with contextlib.suppress(FileExistsError, FileNotFoundError):
        claim = os.open(folder.started, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(claim, "w") as file:
            file.write(f"{_WITHDRAWN} {time.time():.0f} 0\n")


def as_claimed(folder: JobFolder, progress: Progress) -> Progress:
    """A job whose command may no longer run was cancelled, whatever became of its script."""
    if progress.phase in (JobPhase.ENDED, JobPhase.GONE) and _is_withdrawn(folder):
        return replace(cancelled(), ended_at=progress.ended_at)
    return progress


def _is_withdrawn(folder: JobFolder) -> bool:
    return folder.read(folder.started)[:1] == [_WITHDRAWN]
