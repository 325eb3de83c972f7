"""Ids of jobs as Slurm's commands know them: a job's own, or of an array its group's, with `_INDEX` behind for a task.

Jobs and groups are numbered apart here. So the id of an array is that of its group, and 3,000,000,000: no job has it.
Before `_INDEX` the group's own id says the same, as no job has tasks.
"""

import re
from dataclasses import dataclass

from rainbow.arrays import array_in
from rainbow.errors import InvalidArgument
from rainbow.records import Job
from rainbow.rules import MAX_INT

FIRST_ARRAY = 3_000_000_000
_ID = re.compile(
    r"(?P<id>[0-9]{1,10})(?:_(?:(?P<index>[0-9]{1,10})|\[(?P<indexes>[0-9,:-]{1,1000}(?:%[0-9]{1,10})?)\]))?", re.ASCII
)
_FORMS = "write ID, GROUP_INDEX for a task of an array, or GROUP_[1-5,8] for several"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRef:
    """A job, or a group with the indexes that are meant; none means all of them."""

    jobid: int = 0
    group: int = 0
    indexes: frozenset[int] = frozenset()


def job_ref(text: str) -> JobRef:
    """Raises InvalidArgument."""
    found = _ID.fullmatch(text)
    number = int(found["id"]) if found else 0
    if found is None or not (1 <= number <= MAX_INT or 1 <= number - FIRST_ARRAY <= MAX_INT):
        raise InvalidArgument(f"{text!r} is no job's id: {_FORMS}")
    indexes = found["index"] or found["indexes"] or ""
    if number <= MAX_INT and not indexes:
        return JobRef(jobid=number)
    group = number if number <= MAX_INT else number - FIRST_ARRAY
    return JobRef(group=group, indexes=_indexes_in(indexes, of=text) if indexes else frozenset())


def _indexes_in(indexes: str, *, of: str) -> frozenset[int]:
    """Without the number behind a %, which squeue prints."""
    try:
        return frozenset(array_in(indexes).indexes)
    except InvalidArgument as error:
        raise InvalidArgument(f"{of!r} names no tasks: {error}") from None


def job_refs(text: str) -> list[JobRef]:
    """Of several, with commas between them."""
    return [job_ref(part) for part in re.split(r",(?![^\[]*\])", text) if part]


def array_id(group: int) -> int:
    return FIRST_ARRAY + group


def is_task(job: Job) -> bool:
    return bool(job.group) and job.array_index is not None


def base_id(job: Job) -> str:
    return str(array_id(job.group)) if is_task(job) else str(job.id)


def shown_id(job: Job) -> str:
    return f"{base_id(job)}_{job.array_index}" if is_task(job) else str(job.id)
