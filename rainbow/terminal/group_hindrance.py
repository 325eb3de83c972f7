"""What keeps the queued members of a group waiting, in words."""

from contextlib import suppress
from dataclasses import dataclass

from rainbow.client import Client
from rainbow.errors import RainbowError
from rainbow.records import Job, JobGroup, JobState
from rainbow.text import on_one_line

# Of a cluster that takes such jobs, now or when it has room (docs/where.md).
TAKES = frozenset({"would_take", "full", "later"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Hindrance:
    """`cause` is equal as long as nothing has changed: the text tells the time that has passed."""

    text: str
    cause: tuple[object, ...]


def hindrance_of(client: Client, group: JobGroup) -> Hindrance | None:
    """Why no cluster takes the newest of its queued members; None where one does, or where it cannot be found out."""
    if not group.counts.get(JobState.QUEUED):
        return None
    with suppress(RainbowError):
        page = client.list_page(states=[JobState.QUEUED], group=group.id, page_size=1)
        for job in client.get_jobs([job.id for job in page.jobs]).jobs:
            return _hindrance(group, job)
    return None


def _hindrance(group: JobGroup, job: Job) -> Hindrance | None:
    outlooks = tuple((one.cluster, one.outlook) for one in job.prospects)
    if not job.prospects or any(outlook in TAKES for _, outlook in outlooks):
        return None
    if len(job.prospects) == 1:
        text = f"{job.prospects[0].cluster} {job.prospects[0].text}"
    else:
        text = f"{job.why_waiting}; `rainbow job {job.id}` says it of each cluster"
    return Hindrance(text=on_one_line(text), cause=(group.counts[JobState.QUEUED], *outlooks))
