"""Wake-ups for calls that wait: for jobs in a cluster's queue, or for a job's next step."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

# A cluster's name, for its queue, or a job's id.
Topic = str | int

# A waiting call polls this often without a wake-up, too: its caller is seen, and a credential that was revoked ends it.
POLL_EVERY_SECONDS = 60


async def wait_for(wakeup: asyncio.Event, *, at_most: float = POLL_EVERY_SECONDS) -> None:
    """Returns at the wake-up, after so many seconds, or when the next poll is due."""
    with suppress(TimeoutError):
        async with asyncio.timeout(min(at_most, POLL_EVERY_SECONDS)):
            await wakeup.wait()


class Wakeups:
    """Subscriptions to topics. Not thread-safe: for the event loop alone."""

    def __init__(self) -> None:
        self._waiting: dict[Topic, set[asyncio.Event]] = defaultdict(set)
        self._any = asyncio.Event()
        self.closing = asyncio.Event()

    @property
    def closed(self) -> bool:
        return self.closing.is_set()

    @contextmanager
    def subscribe(self, *topics: Topic) -> Iterator[asyncio.Event]:
        """An event that is set at each wake-up. Subscribe before the query: a change in between is not missed then."""
        event = asyncio.Event()
        for topic in topics:
            self._waiting[topic].add(event)
        self._any.set()
        try:
            yield event
        finally:
            for topic in topics:
                self._leave(topic, event)

    def wake(self, topics: Iterable[Topic]) -> None:
        for topic in topics:
            for event in self._waiting.get(topic, ()):
                event.set()

    def wake_all(self) -> None:
        self.wake(list(self._waiting))

    def wake_all_jobs(self) -> None:
        self.wake([topic for topic in self._waiting if isinstance(topic, int)])

    @property
    def queues(self) -> list[str]:
        return [topic for topic in self._waiting if isinstance(topic, str)]

    @property
    def has_subscribers(self) -> bool:
        return bool(self._waiting)

    async def until_subscribed(self) -> None:
        self._any.clear()
        if not self._waiting:
            await self._any.wait()

    def close(self) -> None:
        self.closing.set()
        self.wake_all()

    def _leave(self, topic: Topic, event: asyncio.Event) -> None:
        self._waiting[topic].discard(event)
        if not self._waiting[topic]:
            del self._waiting[topic]
