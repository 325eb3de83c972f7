"""Watches any number of jobs over few streams of one connection."""

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass

from rainbow.aio.client import AsyncClient
from rainbow.client_jobs import IDS_PER_LOOKUP
from rainbow.errors import RainbowError
from rainbow.records import FINAL_STATES, Job


@dataclass(slots=True, eq=False)
class _Watch:
    left: set[int]
    task: asyncio.Task[None] | None = None


class Watches:
    """`seen` gets each job at each step, and `failed` the ids that are watched no longer, and why."""

    def __init__(
        self,
        client: AsyncClient,
        *,
        seen: Callable[[Job], None],
        failed: Callable[[Collection[int], RainbowError], None],
    ) -> None:
        self._client = client
        self._seen = seen
        self._failed = failed
        self._watches: set[_Watch] = set()

    def add(self, jobids: Collection[int]) -> None:
        """A stream for them, and for those of the streams that have no more: so there are few, and each job moves to
        another stream only as often as its stream doubles.
        """
        left = set(jobids)
        for watch in sorted(self._watches, key=lambda watch: len(watch.left)):
            if len(watch.left) > len(left) or len(watch.left) + len(left) > IDS_PER_LOOKUP:
                break
            left |= watch.left
            self._end(watch)
        if left:
            watch = _Watch(left)
            watch.task = asyncio.create_task(self._follow(watch))
            self._watches.add(watch)

    def forget(self, jobid: int) -> None:
        for watch in self._watches:
            watch.left.discard(jobid)

    def _end(self, watch: _Watch) -> None:
        self._watches.discard(watch)
        if watch.task:
            watch.task.cancel()

    async def _follow(self, watch: _Watch) -> None:
        try:
            async for job in self._client.watch_jobs(sorted(watch.left)):
                if job.state in FINAL_STATES:
                    watch.left.discard(job.id)
                self._seen(job)
                if not watch.left:
                    break
        except RainbowError as error:
            self._failed(set(watch.left), error)
        # Else those who wait for these jobs would wait for ever.
        except Exception as error:
            self._failed(set(watch.left), RainbowError(f"the jobs are watched no longer: {error}"))
        finally:
            self._watches.discard(watch)
