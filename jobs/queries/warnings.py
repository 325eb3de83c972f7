"""Why the jobs of a cluster may wait long."""

from datetime import datetime, timedelta

from clusters.callers import Caller

# A cluster whose agent has not asked for so long is called quiet.
QUIET_AFTER = timedelta(minutes=5)


def warn(
    *,
    cluster: str,
    last_asked_at: datetime | None,
    paused_reason: str,
    not_ready: str,
    now: datetime,
    held_back: str = "",
) -> str:
    """What is amiss with a cluster, in words; empty when nothing is. `held_back`: why the caller's jobs are."""
    if paused_reason:
        return f"{cluster} is paused: {paused_reason}"
    if held_back:
        return f"{cluster} holds back the jobs of this token: {held_back}; `rainbow resume` lets them go on"
    if not_ready:
        return f"{cluster} is not ready: {not_ready}"
    if last_asked_at is None:
        return f"{cluster} has never asked for jobs"
    silence = now - last_asked_at
    if silence < QUIET_AFTER:
        return ""
    return f"{cluster} last asked for jobs {in_words(silence)} ago"


def warn_caller(caller: Caller, *, now: datetime) -> str:
    """The same of a caller's own cluster."""
    return warn(
        cluster=caller.cluster,
        last_asked_at=caller.last_asked_at,
        paused_reason=caller.paused_reason,
        not_ready=caller.not_ready,
        held_back=caller.held_back,
        now=now,
    )


def in_words(span: timedelta) -> str:
    """A span of time in its largest whole unit: 42 minutes, 3 hours."""
    seconds = int(span.total_seconds())
    for unit, length in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= length:
            return _counted(seconds // length, unit)
    return _counted(seconds, "second")


def _counted(number: int, unit: str) -> str:
    return f"{number} {unit}" if number == 1 else f"{number} {unit}s"
