"""Withdrawals: jobs that are taken back from their scheduler because they did not start in time.

What is noted of one outlives the agent: that it is under way, before the scheduler is asked; and that it is complete.
The claim (claims.py) is made in between, when the scheduler has ended the job. So a job that starts meanwhile runs, and
of one that is withdrawn no scheduler job ever runs the command, be it of a submission that arrives late.
"""

import contextlib
from dataclasses import replace

from rainbow.executors.claims import as_claimed, bar, is_withdrawn
from rainbow.executors.endings import withdrawn
from rainbow.executors.executor import Ending, JobPhase, Progress
from rainbow.executors.folders import JobFolder
from rainbow.system.disk_space import DiskFull, is_full

_BEGUN = "withdrawing"
_COMPLETE = "withdrawn"


def begin(folder: JobFolder) -> None:
    """Call it before the scheduler is asked. Raises DiskFull."""
    try:
        folder.notes.keep_durably(_BEGUN, b"begun\n")
    except OSError as error:
        if is_full(error):
            raise DiskFull("disk full: cannot note that a job is withdrawn") from error
        raise


def settled(folder: JobFolder, progress: Progress) -> Progress | None:
    """What became of a job, by what its scheduler says and by its claim; None where a full disk takes no claim.

    The record of a job that started says when, also where it was cancelled or requeued since.
    """
    if progress.phase not in (JobPhase.ENDED, JobPhase.GONE):
        return progress
    if _never_started(folder, progress):
        try:
            bar(folder)
        except OSError as error:
            if is_full(error):
                return None
        if is_withdrawn(folder):
            _complete(folder)
            return _withdrawn(progress)
    return _withdrawn(progress) if folder.notes.has(_COMPLETE) else as_claimed(folder, progress)


def _never_started(folder: JobFolder, progress: Progress) -> bool:
    return progress.ending == Ending.CANCELLED and progress.started_at is None and folder.notes.has(_BEGUN)


def _complete(folder: JobFolder) -> None:
    """For the next agent, which may find that the scheduler no longer knows the job."""
    with contextlib.suppress(OSError):
        folder.notes.keep_durably(_COMPLETE, b"complete\n")


def _withdrawn(progress: Progress) -> Progress:
    return replace(withdrawn(), ended_at=progress.ended_at)
