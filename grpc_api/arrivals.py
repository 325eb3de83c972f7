"""Waking the calls that wait: for jobs in a cluster's queue, or for a job's next step."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial

from django.db import DatabaseError

from grpc_api.lanes import Lanes
from jobs.services import news_since

# How soon a call learns of what another server, a page or an operator did.
WATCH_EVERY_SECONDS = 0.25

# A cluster's name, for its queue, or a job's id.
Topic = str | int

_log = logging.getLogger("rainbow.grpc")


class Arrivals:
    """Who waits for what. All of it runs on the event loop."""

    def __init__(self) -> None:
        self._waiting: dict[Topic, set[asyncio.Event]] = defaultdict(set)
        self._any = asyncio.Event()
        self.closing = asyncio.Event()

    @property
    def closed(self) -> bool:
        return self.closing.is_set()

    @contextmanager
    def expect(self, *topics: Topic) -> Iterator[asyncio.Event]:
        """An event that is set once there may be something new: enter before looking, so that nothing is missed."""
        event = asyncio.Event()
        for topic in topics:
            self._waiting[topic].add(event)
        self._any.set()
        try:
            yield event
        finally:
            for topic in topics:
                self._leave(topic, event)

    def announce(self, topics: Iterable[Topic]) -> None:
        """There is something new about these."""
        for topic in topics:
            for event in self._waiting.get(topic, ()):
                event.set()

    def close(self) -> None:
        """Sends everybody home: the server stops."""
        self.closing.set()
        self.announce(list(self._waiting))

    async def watch(self, lanes: Lanes) -> None:
        """Announces, for ever, what others do. Asks the database only while somebody waits."""
        seen: int | None = None
        while True:
            if not self._waiting:
                self._any.clear()
                await self._any.wait()
                seen = None
            try:
                news = await lanes.read(partial(news_since, after=seen))
                seen = news.last
                self.announce([*news.clusters, *news.jobs])
            except DatabaseError as error:
                _log.warning("could not look for news error=%r", str(error))
            await asyncio.sleep(WATCH_EVERY_SECONDS)

    def _leave(self, topic: Topic, event: asyncio.Event) -> None:
        self._waiting[topic].discard(event)
        if not self._waiting[topic]:
            del self._waiting[topic]
