# Written from rainbow/watch_stream.py by `make client`. Change that file.
"""Watches jobs to their end, over as many streams as that takes."""

from collections.abc import AsyncIterator, Callable, Sequence

from rainbow.aio.pauses import AsyncPatience
from rainbow.errors import Unavailable
from rainbow.records import FINAL_STATES, Job
from rainbow.retries import Retries

Stream = Callable[[Sequence[int]], AsyncIterator[Job]]


async def follow(
    stream: Stream, jobids: Sequence[int], *, retries: Retries, first_seconds: float
) -> AsyncIterator[Job]:
    """Each job as it is now, and again at each step, until all are over.

    A stream that ends early is reopened for the jobs that are left, with growing pauses. Raises Unavailable when no
    server answers for `first_seconds` at the beginning, and for 5 minutes later on.
    """
    seen: dict[int, Job] = {}
    patience = AsyncPatience(retries, first_seconds=first_seconds)
    while left := [jobid for jobid in dict.fromkeys(jobids) if jobid not in seen or not _over(seen[jobid])]:
        failure = Unavailable("the server ended the stream")
        try:
            async for job in stream(left):
                patience.renew()
                if seen.get(job.id) != job:
                    seen[job.id] = job
                    yield job
        except Unavailable as error:
            failure = error
        if not all(jobid in seen and _over(seen[jobid]) for jobid in left):
            await patience.rest(failure)


def _over(job: Job) -> bool:
    return job.state in FINAL_STATES
