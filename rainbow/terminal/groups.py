"""Groups of jobs in words and in JSON."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from rainbow.errors import NO_SUCH_GROUP, NotFound
from rainbow.records import JobGroup, JobState
from rainbow.terminal import documents
from rainbow.terminal.following import FAILED, STOPPED
from rainbow.terminal.formatting import local
from rainbow.terminal.output import plain

FINAL = (JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED)


@contextmanager
def named(group: int) -> Iterator[None]:
    """Says which group there is none of, and where to look."""
    try:
        yield
    except NotFound as error:
        if error.message != NO_SUCH_GROUP:
            raise
        told = NotFound(f"{NO_SUCH_GROUP}: {group}; `rainbow groups` lists those that you may see")
        told.request_id = error.request_id
        raise told from error


def brief_counts(group: JobGroup) -> str:
    return ", ".join(f"{number:,} {state.value}" for state, number in group.counts.items())


def progress_of(group: JobGroup) -> str:
    at = local(group.finished_at or datetime.now(UTC))
    return f"{at}  Group {group.id}: {over(group):,} of {group.members:,} are over: {brief_counts(group)}"


def exit_code_of_group(group: JobGroup) -> int:
    if group.counts.get(JobState.FAILED):
        return FAILED
    return STOPPED if group.counts.get(JobState.CANCELLED) else 0


def over(group: JobGroup) -> int:
    """How many of its members have ended."""
    return sum(group.counts.get(state, 0) for state in FINAL)


def document(group: JobGroup) -> dict[str, Any]:
    """Without the failures, which lists leave out."""
    said = plain(group)
    del said["failures"]
    return {**said, "jobs": group.members}


def whole(group: JobGroup) -> dict[str, Any]:
    return {**document(group), "failures": [documents.listed(job) for job in group.failures]}
