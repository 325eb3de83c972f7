"""Jobs in JSON, without what a command does not know of them."""

from collections.abc import Iterable
from typing import Any, Protocol

from rainbow.records import Job
from rainbow.terminal.output import plain

NOT_LISTED = frozenset({"environment", "output", "output_files", "events", "why_waiting", "prospects"})
NOT_WATCHED = NOT_LISTED | {"lease_expires_at"}


class OfJob(Protocol):
    """A record about a job that calls its id `jobid`, as the wire does."""

    @property
    def jobid(self) -> int: ...


def about_job(record: OfJob) -> dict[str, Any]:
    """With the id under the name that it has in all other documents, too."""
    return {"id": record.jobid, **plain(record)}


def about_jobs(records: Iterable[OfJob]) -> list[dict[str, Any]]:
    return [about_job(record) for record in records]


def whole(job: Job) -> dict[str, Any]:
    return {**plain(job), "output_is_cut": job.output_is_cut}


def listed(job: Job) -> dict[str, Any]:
    return _without(NOT_LISTED, job)


def watched(job: Job) -> dict[str, Any]:
    return _without(NOT_WATCHED, job)


def _without(names: frozenset[str], job: Job) -> dict[str, Any]:
    return {name: value for name, value in plain(job).items() if name not in names}
