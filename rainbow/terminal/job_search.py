"""Which jobs a list is about."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice, takewhile

from rainbow.client import Client
from rainbow.records import Job
from rainbow.states import JobState

LARGEST_PAGE = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """A `group` of 0 and a `most` of None set no limit."""

    states: Sequence[JobState]
    labels: Mapping[str, str]
    name: str
    group: int
    since: datetime | None
    most: int | None

    def is_recent(self, job: Job) -> bool:
        return self.since is None or job.submitted_at is None or job.submitted_at >= self.since


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """Newest first."""

    jobs: Sequence[Job]
    more: bool


def listed(client: Client, search: Search) -> Listed:
    """The search ends at the first job that is too old: those behind it are older."""
    asked = None if search.most is None else search.most + 1
    found = client.list_jobs(
        states=search.states,
        labels=search.labels,
        name=search.name,
        group=search.group,
        page_size=LARGEST_PAGE if asked is None else min(asked, LARGEST_PAGE),
    )
    jobs = list(islice(takewhile(search.is_recent, found), asked))
    return Listed(jobs=jobs[: search.most], more=search.most is not None and len(jobs) > search.most)
