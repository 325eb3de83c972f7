"""Groups of jobs in words and in JSON."""

from typing import Any

from rainbow.records import JobGroup, JobState
from rainbow.terminal import documents
from rainbow.terminal.output import plain

FINAL = (JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED)


def brief_counts(group: JobGroup) -> str:
    return ", ".join(f"{number:,} {state.value}" for state, number in group.counts.items())


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
