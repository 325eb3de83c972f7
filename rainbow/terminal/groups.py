"""Groups of jobs in words and in JSON."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from rainbow.client import Client
from rainbow.records import JobGroup, JobState
from rainbow.terminal import documents
from rainbow.terminal.following import FAILED, STOPPED
from rainbow.terminal.formatting import local
from rainbow.terminal.output import plain

# How often a group is polled: soon after a change, and while nothing happens.
POLL_SECONDS, POLL_AT_MOST_SECONDS = 0.5, 5.0
FINAL = (JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED)


def brief_counts(group: JobGroup) -> str:
    return ", ".join(f"{number:,} {state.value}" for state, number in group.counts.items())


def progress_of(group: JobGroup) -> str:
    at = local(group.finished_at or datetime.now(UTC))
    return f"{at}  Group {group.id}: {over(group):,} of {group.members:,} are over: {brief_counts(group)}"


def follow_group(client: Client, group: int, tell: Callable[[JobGroup], None]) -> int:
    """Shows each change, until the group is finished; returns the exit code."""
    last: JobGroup | None = None
    pause = POLL_SECONDS
    while True:
        now = client.get_group(group)
        if last is None or now.counts != last.counts or now.finished_at:
            tell(now)
            pause = POLL_SECONDS
        if now.finished_at:
            return _exit_code(now)
        last = now
        time.sleep(pause)
        pause = min(pause * 2, POLL_AT_MOST_SECONDS)


def _exit_code(group: JobGroup) -> int:
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
