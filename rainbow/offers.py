"""The answer to a request for jobs: lines of JSON, which a hostile server may fill with anything."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from rainbow.errors import InvalidArgument, RainbowError
from rainbow.job_lines import FIELDS, NUMBER, TEXT, Kind, check_kinds, parsed
from rainbow.protos import rainbow_pb2 as pb
from rainbow.records import BrokenJob, WaitingJob, WaitingJobs
from rainbow.specs import DESCRIPTION_FIELDS, check_attempt, values_read
from rainbow.text import on_one_line
from rainbow.translation import nonsense

ALWAYS = ("id", "cluster", "name", "nodes", "tasks", "command")
KINDS: Mapping[str, Kind] = {
    "id": NUMBER,
    "cluster": TEXT,
    "attempt": NUMBER,
    "pool": TEXT,
    **{name: FIELDS[name] for name in DESCRIPTION_FIELDS},
}
LONGEST_REASON = 1000


def waiting_jobs(answer: pb.RequestJobsResponse, *, cluster: str, most: int) -> WaitingJobs:
    """The jobs of an answer; those that break the protocol's rules are `broken`. `most` were requested; 0 is no limit.

    Raises RainbowError where the answer as a whole breaks them.
    """
    order = list(answer.jobids) or sorted(answer.jobs)
    _check_order(order, answer.jobs, most=most)
    found = [_offered(jobid, answer.jobs[jobid], cluster=cluster) for jobid in order]
    return WaitingJobs(
        jobs=tuple(job for job in found if isinstance(job, WaitingJob)),
        broken=tuple(job for job in found if isinstance(job, BrokenJob)),
        paused=answer.paused,
    )


def fault(error: RainbowError) -> str:
    """Why a job is never run, for its submitter."""
    return on_one_line(f"the server sent a job that breaks the protocol: {error}", longest=LONGEST_REASON)


def _check_order(order: list[int], lines: Mapping[int, str], *, most: int) -> None:
    if len(set(order)) < len(order):
        raise nonsense("it offers the same job twice")
    if set(order) != set(lines):
        raise nonsense("its jobs are not those whose order it tells")
    if 0 < most < len(order):
        raise nonsense(f"it offers {len(order):,} jobs, and {most:,} were asked for")
    if any(jobid < 1 for jobid in order):
        raise nonsense("it offers a job without an id")


def _offered(jobid: int, line: str, *, cluster: str) -> WaitingJob | BrokenJob:
    try:
        fields = parsed(line.encode())
        check_kinds(fields, KINDS, required=ALWAYS)
        _check_place(fields, jobid=jobid, cluster=cluster)
        known = {name: value for name, value in fields.items() if name in KINDS}
        job = WaitingJob(**values_read(known))
        # Of a pool's job the command comes after the accept.
        shown = replace(job, command=job.command or "withheld") if job.pool else job
        check_attempt(shown, jobid=job.id, attempt=job.attempt)
    except InvalidArgument as error:
        return BrokenJob(id=jobid, reason=fault(error))
    return job


def _check_place(fields: Mapping[str, Any], *, jobid: int, cluster: str) -> None:
    if fields["id"] != jobid:
        raise InvalidArgument(f"must be {jobid}, as the answer says, not {fields['id']}", field="id")
    if fields["cluster"] != cluster:
        raise InvalidArgument(f"must be {cluster}, not {fields['cluster']!r}", field="cluster")
