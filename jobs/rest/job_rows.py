"""Pages of jobs, written from what the database gives: JobBriefSerializer in its bytes."""

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

from jobs.models import said_key
from jobs.queries.found_job import read_listed
from jobs.rest.job_serializers import HIDDEN, JobBriefSerializer, SubmitterSerializer
from rainbow_site.web.rest.written import NULL, Writers, objects, text, writers_of


class WrittenJobs(NamedTuple):
    """An array of jobs, their ids, and the versions that it shows of them (read_versions)."""

    array: str
    ids: Sequence[int]
    versions: Sequence[str]


def write_jobs(ids: Sequence[int], *, with_content: bool) -> WrittenJobs:
    """Those of these jobs that are there, in the order of the ids, which rise or fall, as many as fit one answer."""
    jobs = read_listed(ids, leaving_out=() if with_content else HIDDEN)
    if not jobs.ids:
        return WrittenJobs("[]", (), ())
    submitters = list(zip(jobs.columns["credential_id"], jobs.columns["label"], strict=True))
    array = objects({**jobs.columns, "submitted_by": submitters}, _writers(), rest=jobs.rest)
    return WrittenJobs(array, jobs.ids, jobs.versions)


@cache
def _writers() -> Writers:
    return writers_of(
        JobBriefSerializer,
        submitted_by=_submitter,
        idempotency_key=_key,
        pool=_name,
        owner=_name,
        project=_name,
    )


@cache
def _of_submitter() -> Writers:
    return writers_of(SubmitterSerializer)


def _submitter(credential: tuple[int | None, str]) -> str:
    if credential[0] is None:
        return NULL
    written = (
        f'"{name}":{write(value)}' for (name, write), value in zip(_of_submitter().items(), credential, strict=True)
    )
    return f"{{{','.join(written)}}}"


def _key(stored: str | None) -> str:
    return text(said_key(stored or "") or None)


def _name(said: str | None) -> str:
    return text(said or "")
