"""Noticing that every job fails at once, so that a broken cluster does not eat its queue."""

from datetime import timedelta

from rainbow.agent.words import state_of
from rainbow.executors import Progress
from rainbow.records import JobState

AT_ONCE = timedelta(seconds=5)


class Streak:
    """Counts the jobs in a row that failed within 5 seconds, or that the scheduler did not take at all."""

    def __init__(self, *, longest: int) -> None:
        self._longest = longest
        self._count = 0

    def note(self, progress: Progress) -> str:
        """Take in how one more job ended; why the cluster should be paused, once the row is long enough."""
        self._count = self._count + 1 if _at_once(progress) else 0
        if not self._longest or self._count < self._longest:
            return ""
        count, self._count = self._count, 0
        seconds = AT_ONCE.seconds
        return f"{count} jobs in a row failed within {seconds} seconds each; the last one: {progress.reason}"


def _at_once(progress: Progress) -> bool:
    if state_of(progress) != JobState.FAILED:
        return False
    if progress.started_at is None or progress.ended_at is None:
        return True
    return progress.ended_at - progress.started_at < AT_ONCE
