"""Telling a submitter why a job may wait long."""

from datetime import datetime, timedelta

from clusters.callers import Caller

# A cluster whose agent has not asked for so long is called quiet.
QUIET_AFTER = timedelta(minutes=5)


def warn(caller: Caller, *, now: datetime) -> str:
    """What is amiss with the caller's cluster, in words; empty when nothing is."""
    if caller.paused:
        return f"{caller.cluster} is paused: {caller.paused_reason}"
    if caller.last_asked_at is None:
        return f"{caller.cluster} has never asked for jobs"
    silence = now - caller.last_asked_at
    if silence < QUIET_AFTER:
        return ""
    return f"{caller.cluster} last asked for jobs {in_words(silence)} ago"


def in_words(span: timedelta) -> str:
    """A span of time in its largest whole unit: 42 minutes, 3 hours."""
    seconds = int(span.total_seconds())
    for unit, length in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= length:
            return _counted(seconds // length, unit)
    return _counted(seconds, "second")


def _counted(number: int, unit: str) -> str:
    return f"{number} {unit}" if number == 1 else f"{number} {unit}s"
