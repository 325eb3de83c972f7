"""Waking the calls that wait for jobs."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial

from grpc_api.lanes import Lanes
from jobs.services import newly_queued

# How soon a call learns of a job that another server, a page or an operator put into the queue.
WATCH_EVERY_SECONDS = 0.25


class Arrivals:
    """Who waits for jobs of which cluster. All of it runs on the event loop."""

    def __init__(self) -> None:
        self._waiting: dict[str, set[asyncio.Event]] = defaultdict(set)
        self._any = asyncio.Event()
        self.closed = False

    @contextmanager
    def expect(self, cluster: str) -> Iterator[asyncio.Event]:
        """An event that is set once jobs may have arrived: enter before looking, so that none is missed."""
        event = asyncio.Event()
        self._waiting[cluster].add(event)
        self._any.set()
        try:
            yield event
        finally:
            self._waiting[cluster].discard(event)
            if not self._waiting[cluster]:
                del self._waiting[cluster]

    def announce(self, clusters: Iterable[str]) -> None:
        """Jobs have arrived in the queues of these clusters."""
        for cluster in clusters:
            for event in self._waiting.get(cluster, ()):
                event.set()

    def close(self) -> None:
        """Sends everybody home: the server stops."""
        self.closed = True
        self.announce(list(self._waiting))

    async def watch(self, lanes: Lanes) -> None:
        """Announces, for ever, what others put into the queues. Asks the database only while somebody waits."""
        seen: int | None = None
        while True:
            if not self._waiting:
                self._any.clear()
                await self._any.wait()
                seen = None
            seen, clusters = await lanes.read(partial(newly_queued, after=seen))
            self.announce(clusters)
            await asyncio.sleep(WATCH_EVERY_SECONDS)
