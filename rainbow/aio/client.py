"""The asynchronous client of a rainbow server."""

from rainbow.aio.clusters import ClusterCalls
from rainbow.aio.files import FileCalls
from rainbow.aio.groups import GroupCalls
from rainbow.aio.jobs import JobCalls
from rainbow.aio.people import PeopleCalls
from rainbow.aio.registration import RegistrationCalls
from rainbow.aio.submission import SubmissionCalls


class AsyncClient(SubmissionCalls, JobCalls, FileCalls, GroupCalls, ClusterCalls, PeopleCalls, RegistrationCalls):
    """`Client` for asyncio: the same calls, which are awaited, and streams that are read by `async for`.

    It is made within the event loop that uses it, and closed by `async with` or `await client.close()`. Deadlines,
    retries, idempotency keys, credentials and errors are those of `Client`. A call that is cancelled may have been done
    by the server all the same. A stream that is not read to its end is closed by `contextlib.aclosing`.

    What an agent calls (`request_jobs`, `accept_jobs`, `report_jobs` and what belongs to them) only `Client` has.
    """
