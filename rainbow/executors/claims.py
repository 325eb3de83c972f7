"""Claims: of several scheduler jobs of one name, only one ever runs the command.

A submission that got no answer may arrive after the next one. So a job's script first writes the scheduler job's id to
`started` in the job's folder, unless the file exists; a script that finds another id there does not run the command.
The command can change the file, so what it says counts as far as the scheduler knows that job as ours.
"""

import contextlib
import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from rainbow.executors.endings import cancelled
from rainbow.executors.executor import JobPhase, MayStart, Progress
from rainbow.executors.folders import JobFolder, moment, number
from rainbow.system.disk_space import is_full

# In place of a scheduler job's id: the command is never to run.
_WITHDRAWN = "withdrawn"
# What schedulers call their jobs, such as 4711, 4711_3, f2Xk and 12.pbs1; no option of a command is among them.
_NATIVE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._]{0,39}", re.ASCII)
_LONGEST_LIMIT = 2**31 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    native_id: str
    began: datetime
    limit_seconds: int


def claim_of(folder: JobFolder) -> Claim | None:
    """None while no scheduler job has claimed the command, or where the note makes no sense."""
    if not _is_there(folder):
        return None
    words = folder.job.words("started")
    if len(words) != 3 or words[0] == _WITHDRAWN or not _NATIVE_ID.fullmatch(words[0]):
        return None
    began, limit = moment(words[1]), number(words[2], most=_LONGEST_LIMIT)
    return None if began is None or limit is None else Claim(native_id=words[0], began=began, limit_seconds=limit)


def _is_there(folder: JobFolder) -> bool:
    """By one call, since most of ten thousand jobs may wait. What is there is read with care all the same."""
    try:
        folder.started.lstat()
    except OSError:
        return False
    return True


def claimed_by(folder: JobFolder) -> str:
    """The native id; empty while no scheduler job has claimed the command."""
    claim = claim_of(folder)
    return claim.native_id if claim else ""


def bar(folder: JobFolder) -> None:
    """Keep every scheduler job of this name from running the command, unless one does already. Raises OSError."""
    folder.job.write_once("started", f"{_WITHDRAWN} {time.time():.0f} 0\n")


@contextlib.contextmanager
def withdrawing(folders: Iterable[JobFolder]) -> Iterator[None]:
    """As `bar`. Inside, the scheduler is asked to stop what it has of them.

    Raises MayStart after that for those that a full disk does not let be barred.
    """
    unbarred = [folder.key for folder in folders if not _barred(folder)]
    yield
    if unbarred:
        raise MayStart(unbarred)


def _barred(folder: JobFolder) -> bool:
    """False while the disk is full. Where else the claim cannot be made, no script can make one."""
    try:
        bar(folder)
    except OSError as error:
        return not is_full(error)
    return True


def as_claimed(folder: JobFolder, progress: Progress) -> Progress:
    """A job whose command may no longer run was cancelled, whatever became of its script."""
    if progress.phase in (JobPhase.ENDED, JobPhase.GONE) and is_withdrawn(folder):
        return replace(cancelled(), ended_at=progress.ended_at)
    return progress


def is_withdrawn(folder: JobFolder) -> bool:
    return folder.job.words("started")[:1] == [_WITHDRAWN]
