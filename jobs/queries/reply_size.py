"""How many jobs fit one answer. Their texts may be long, and a thousand of them would fill the memory."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate

from jobs.sight import Sight
from jobs.specs import LONG_FIELDS, UNLISTED_FIELDS
from jobs.sql.reads import size_of_jobs, sizes_of_jobs

# About as much as a gRPC message may hold.
ANSWER_BYTES = 4 * 1024 * 1024
OUTPUTS = ("output", "output_files")
WHOLE = (*LONG_FIELDS, "reason", *OUTPUTS)
BRIEF = tuple(name for name in WHOLE if name not in (*UNLISTED_FIELDS, *OUTPUTS))


def number_that_fits(sizes: Iterable[int]) -> int:
    """How many of the first of these sizes fit one answer; the first does, however large it is."""
    totals = list(accumulate(sizes))
    return max(bisect_right(totals, ANSWER_BYTES), min(1, len(totals)))


def ids_that_fit(ids: Sequence[int], columns: Sequence[str], sight: Sight | None) -> tuple[list[int], list[int]]:
    """The first of these ids whose jobs fit one answer, and the rest of those that are there, within sight."""
    jobs, size = size_of_jobs(ids, columns=columns, sight=sight)
    if jobs == len(ids) and size <= ANSWER_BYTES:
        return list(ids), []
    sizes = sizes_of_jobs(ids, columns=columns, sight=sight)
    there = [job_id for job_id in ids if job_id in sizes]
    number = number_that_fits(sizes[job_id] for job_id in there)
    return there[:number], there[number:]
