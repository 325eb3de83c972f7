"""Submitting jobs again: which were already, and those whose signatures are made on this machine."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from rainbow.arrays import ARRAY_JOB_ID, group_told
from rainbow.client import Client
from rainbow.errors import NO_SUCH_JOB, NotFound
from rainbow.records import Job, JobSpec, JobState, Resubmissions
from rainbow.specs import SPEC_FIELDS

_UNDONE = frozenset({JobState.FAILED, JobState.CANCELLED})


def repeated(client: Client, jobids: Iterable[int]) -> list[int]:
    """Which of the jobs were submitted again, where the newest job in their place completed or is not over.

    That job may itself be in place of one in their place.
    """
    done, newest = set[int](), {jobid: jobid for jobid in jobids}
    while newest:
        found = {job.id: job for job in client.get_jobs(sorted(set(newest.values()))).jobs}
        jobs = {old: found[new] for old, new in newest.items() if new in found}
        # A resubmission has a higher id, so that this ends.
        newest = {old: job.resubmissions[0] for old, job in jobs.items() if job.resubmissions}
        done |= {old for old, job in jobs.items() if old not in newest and job.id != old and job.state not in _UNDONE}
    return sorted(done)


def submitted_signed(client: Client, jobids: Sequence[int], *, changes: Mapping[str, Any], key: str) -> Resubmissions:
    """As the server does it (ResubmitJobs), and signed by the client's signer. Raises NotFound."""
    found = {job.id: job for job in client.get_jobs(jobids).jobs}
    if missing := [jobid for jobid in jobids if jobid not in found]:
        raise NotFound(f"{NO_SUCH_JOB}: {', '.join(map(str, missing))}")
    keys = [key if len(jobids) == 1 else f"{key}/{jobid}" for jobid in jobids]
    now = datetime.now(UTC)
    queued = client.submit_jobs(
        [
            _told_of_array(
                replace(_spec(found[jobid], client.cluster, now), **changes, idempotency_key=own), found[jobid]
            )
            for jobid, own in zip(jobids, keys, strict=True)
        ]
    )
    return Resubmissions(results=queued.results, agent_last_asked_at=queued.agent_last_asked_at, warning=queued.warning)


def _told_of_array(spec: JobSpec, old: Job) -> JobSpec:
    if old.array_index is None or not (group := group_told(old.group, old.environment)):
        return spec
    return replace(spec, environment={**spec.environment, ARRAY_JOB_ID: str(group)})


def _spec(job: Job, cluster: str, now: datetime) -> JobSpec:
    said = {name: getattr(job, name) for name in SPEC_FIELDS}
    said |= {"signature": "", "resubmission_of": job.id, "group": 0, "after": ()}
    if job.expires_at and job.expires_at <= now:
        said["expires_at"] = None
    if (job.pool or job.cluster) != cluster:
        said |= {"clusters": (), "spill_after_seconds": 0}
    return JobSpec(**said)
