"""What futures are made of: a job to submit, and how the result of it is read."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from rainbow.aio.client import AsyncClient
from rainbow.errors import FailedPrecondition, NotFound
from rainbow.futures.calls import outcome_of
from rainbow.futures.failures import JobFailed, RemoteError
from rainbow.futures.future import JobFuture
from rainbow.futures.on_cluster import RESULT
from rainbow.futures.outcomes import Outcome
from rainbow.records import Job
from rainbow.specs import JobSpec
from rainbow.states import JobState


class Reader(Protocol):
    """Reads the result of a job that is over. Raises what the future fails with where there is none."""

    async def read(self, client: AsyncClient, job: Job) -> Outcome: ...


@dataclass(slots=True, kw_only=True, eq=False)
class Order:
    """`files` are inputs by their names. `group` is the key of the group that the job joins, which `is_last` closes."""

    future: JobFuture[Any]
    spec: JobSpec
    reader: Reader
    files: Mapping[str, bytes] = field(default_factory=dict)
    group: str = ""
    group_name: str = ""
    is_last: bool = True
    is_over: bool = False


class CommandReader:
    async def read(self, client: AsyncClient, job: Job) -> Outcome:
        found = await _in_full(client, job)
        if found.state != JobState.COMPLETED:
            raise JobFailed(found)
        return Outcome(value=found)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallReader:
    trusted: bool
    most_bytes: int

    async def read(self, client: AsyncClient, job: Job) -> Outcome:
        content = b""
        if job.state == JobState.COMPLETED:
            content = await self._result(client, job)
        else:
            # One that was killed left none; why is in its record.
            with suppress(FailedPrecondition, NotFound):
                content = await self._file(client, job)
        if not content:
            raise JobFailed(await _in_full(client, job))
        return outcome_of(content, trusted=self.trusted)

    async def _result(self, client: AsyncClient, job: Job) -> bytes:
        """Raises FailedPrecondition while the site is away, and RemoteError where it is there and has no result."""
        try:
            return await self._file(client, job)
        except FailedPrecondition as error:
            if RESULT in {file.name for file in await client.list_files(job.id)}:
                raise
            words = f"job {job.id} completed without a result: its Python ended before it could write one"
            raise RemoteError(words) from error

    async def _file(self, client: AsyncClient, job: Job) -> bytes:
        content = bytearray()
        parts = client.read_file(job.id, RESULT)
        async for part in parts:
            content += part
            if len(content) > self.most_bytes:
                raise RemoteError(f"the result of job {job.id} has more than {self.most_bytes:,} bytes")
        return bytes(content)


async def _in_full(client: AsyncClient, job: Job) -> Job:
    found = (await client.get_jobs([job.id])).jobs
    return found[0] if found else job
