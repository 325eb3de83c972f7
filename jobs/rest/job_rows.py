"""Pages of jobs, written from what the database gives: JobBriefSerializer in its bytes."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import NamedTuple

from jobs.models import said_key
from jobs.queries.found_job import read_listed, versions_of
from jobs.queries.reply_size import ANSWER_BYTES
from jobs.rest.job_serializers import HIDDEN, JobBriefSerializer, SubmitterSerializer
from jobs.rest.kept_jobs import MOST_BYTES, KeptJobs, WrittenJob
from rainbow_site.web.rest.written import NULL, Writers, array, objects, text, writers_of


class WrittenJobs(NamedTuple):
    """An array of jobs, their ids, and the versions that it shows of them (read_versions)."""

    array: str
    ids: Sequence[int]
    versions: Sequence[str]


# By whether what was submitted, and written, is shown.
kept_jobs = {with_content: KeptJobs(most_bytes=MOST_BYTES // 2) for with_content in (True, False)}


def write_jobs(ids: Sequence[int], *, with_content: bool) -> WrittenJobs:
    """Those of these jobs that are there, in the order of the ids, which rise or fall, as many as fit one answer."""
    kept = kept_jobs[with_content].of(ids)
    jobs = _with_kept(ids, kept, with_content=with_content) or _write(ids, with_content=with_content)
    return WrittenJobs(array(job.text for job in jobs.values()), [*jobs], [job.version for job in jobs.values()])


def _with_kept(ids: Sequence[int], kept: Mapping[int, WrittenJob], *, with_content: bool) -> dict[int, WrittenJob]:
    """Reads only what was not kept, or has changed since. None of them if that is not faster, or if it went away."""
    if not kept:
        return {}
    versions = versions_of(ids)
    right = {job_id: job for job_id, job in kept.items() if versions.get(job_id) == job.version}
    there = [job_id for job_id in ids if job_id in versions]
    jobs = right | _write([job_id for job_id in there if job_id not in right], with_content=with_content)
    return dict(_that_fit(there, jobs))


def _that_fit(ids: Sequence[int], jobs: Mapping[int, WrittenJob]) -> Iterator[tuple[int, WrittenJob]]:
    size = 0
    for job_id in ids:
        if size >= ANSWER_BYTES or not (job := jobs.get(job_id)):
            return
        yield job_id, job
        size += len(job.text)


def _write(ids: Sequence[int], *, with_content: bool) -> dict[int, WrittenJob]:
    jobs = read_listed(ids, leaving_out=() if with_content else HIDDEN)
    if not jobs.ids:
        return {}
    submitters = list(zip(jobs.columns["credential_id"], jobs.columns["label"], strict=True))
    texts = objects({**jobs.columns, "submitted_by": submitters}, _writers(), rest=jobs.rest)
    written = dict(zip(jobs.ids, map(WrittenJob, jobs.versions, texts), strict=True))
    kept_jobs[with_content].keep(written)
    return written


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
