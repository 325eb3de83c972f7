"""Why the jobs of a cluster may wait long."""

from datetime import datetime, timedelta

from clusters.callers import Caller

# A cluster whose agent has not asked for so long is called quiet.
QUIET_AFTER = timedelta(minutes=5)


def asks(last_asked_at: datetime | None, *, now: datetime) -> bool:
    """Whether who last asked for jobs then is not quiet."""
    return last_asked_at is not None and now - last_asked_at < QUIET_AFTER


def warn(
    *,
    cluster: str,
    last_asked_at: datetime | None,
    paused_reason: str,
    not_ready: str,
    now: datetime,
    held_back: str = "",
    pool: bool = False,
) -> str:
    """What is amiss with a cluster or a pool, in words; empty when nothing is. `held_back`: why the caller's jobs are.

    `last_asked_at` of a pool is that of its clusters that take jobs.
    """
    if paused_reason:
        return f"{cluster} is paused: {paused_reason}"
    if held_back:
        return f"{cluster} holds back the jobs of this token: {held_back}; `rainbow resume` lets them go on"
    if not_ready:
        return f"{cluster} is not ready: {not_ready}"
    if last_asked_at is None:
        none = f"no cluster of {cluster} takes jobs: each is paused, is not ready or has never asked for jobs"
        return none if pool else f"{cluster} has never asked for jobs"
    silence = now - last_asked_at
    if silence < QUIET_AFTER:
        return ""
    if pool:
        return f"the clusters of {cluster} that take jobs last asked for them {in_words(silence)} ago"
    return f"{cluster} last asked for jobs {in_words(silence)} ago"


def warn_caller(caller: Caller, *, now: datetime) -> str:
    """The same of a caller's own cluster or pool."""
    return warn(
        cluster=caller.cluster,
        last_asked_at=caller.last_asked_at,
        paused_reason=caller.paused_reason,
        not_ready=caller.not_ready,
        held_back=caller.held_back,
        pool=caller.pool,
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
