"""What an attempt at a job used of its cluster."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from jobs.models import Job
from jobs.states import FINAL, JobState

# How long it is kept, however soon the jobs are pruned.
KEPT = timedelta(days=5 * 366)
# Of one row: far beyond any machine, and so low that no sum overflows.
MAX_NODE_SECONDS = 10**14
# A row: the day, the cluster, the project and the owner; the latter two by id, if there are any.
Key = tuple[date, int, int | None, int | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """`jobs` is 1 where the job ended, 0 where it waits again."""

    key: Key
    jobs: int
    node_seconds: int


def used_by(job: Job, *, until: datetime, now: datetime) -> Used | None:
    """What a job used until its attempt ended; None if it never ran.

    Agents say when a job started and ended. They are believed within the time that the cluster had the job.
    """
    ended = job.state in FINAL
    if not job.started_at and job.state != JobState.COMPLETED:
        return None
    began_at = max(job.started_at or until, job.accepted_at or until)
    until = min(until, now)
    return Used(
        key=(day_of(until), job.cluster_id, job.project_id, job.owner_id),
        jobs=int(ended),
        node_seconds=job.nodes * max(0, (until - began_at) // timedelta(seconds=1)),
    )


def day_of(at: datetime) -> date:
    return at.astimezone(UTC).date()


def totals(used: Iterable[Used]) -> Mapping[Key, tuple[int, int]]:
    """The jobs and node-seconds of each row."""
    sums: dict[Key, tuple[int, int]] = {}
    for one in used:
        jobs, node_seconds = sums.get(one.key, (0, 0))
        sums[one.key] = jobs + one.jobs, min(node_seconds + one.node_seconds, MAX_NODE_SECONDS)
    return sums
