"""Wake-ups for calls that wait: for jobs of a cluster or a pool, or for a job's next step."""

import asyncio
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from clusters.callers import Holder
from grpc_api.runtime.metrics import WAITING_CALLS
from jobs.notify import Agent, RelayId

# The name of a cluster or a pool, for its queue, a job's id, whose call waits, an agent that may be wanted, or a relay.
Topic = str | int | Holder | Agent | RelayId

# A job of a pool wakes so many calls at a time, as only one of them can have it.
WAKE_OF_A_POOL = 4
NEXT_AFTER_SECONDS = 0.05

# A waiting call polls this often without a wake-up, too: its caller is seen, and a credential that expired ends it.
POLL_EVERY_SECONDS = 60


async def wait_for(wakeup: asyncio.Event, *, at_most: float = POLL_EVERY_SECONDS) -> None:
    """Returns at the wake-up, after so many seconds, or when the next poll is due."""
    with suppress(TimeoutError):
        async with asyncio.timeout(min(at_most, POLL_EVERY_SECONDS)):
            await wakeup.wait()


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """The place of a waiting call among those that wait for jobs of the same pool.

    Its cluster may take a job once it has waited for `after_seconds`; `fits` tells of a job's sizes whether it asked
    for such.
    """

    after_seconds: int = 0
    fits: Callable[[Mapping[str, int]], bool] = lambda sizes: True


async def _always(_pool: str) -> bool:
    return True


class Wakeups:
    """Subscriptions to topics. Not thread-safe: for the event loop alone.

    `still_wait` tells whether jobs of a pool wait, and never raises: when all are taken, no further calls are woken.
    """

    def __init__(self, still_wait: Callable[[str], Awaitable[bool]] | None = None) -> None:
        self._still_wait = still_wait or _always
        self._waves: set[asyncio.Task[None]] = set()
        self._waiting: dict[Topic, set[asyncio.Event]] = defaultdict(set)
        self._pools: dict[str, dict[asyncio.Event, Turn]] = defaultdict(dict)
        # The calls that are still to be woken, by pool, and the sizes of the last job that came meanwhile.
        self._queued: dict[str, deque[asyncio.Event]] = {}
        self._came: dict[str, Mapping[str, int]] = {}
        self._any = asyncio.Event()
        self._subscriptions = 0
        self.closing = asyncio.Event()
        WAITING_CALLS.set_function(lambda: self._subscriptions)

    @property
    def closed(self) -> bool:
        return self.closing.is_set()

    @contextmanager
    def subscribe(self, *topics: Topic, turns: Mapping[str, Turn] | None = None) -> Iterator[asyncio.Event]:
        """An event that is set at each wake-up. Subscribe before the query: a change in between is not missed then.

        `turns` are the pools, by name, that the caller takes jobs of as well.
        """
        event = asyncio.Event()
        for topic in topics:
            self._waiting[topic].add(event)
        for pool, turn in (turns or {}).items():
            self._pools[pool][event] = turn
        self._any.set()
        self._subscriptions += 1
        try:
            yield event
        finally:
            self._subscriptions -= 1
            for topic in topics:
                self._leave(topic, event)
            for pool in turns or ():
                self._leave_pool(pool, event)

    def wake(self, topics: Iterable[Topic], *, sizes: Mapping[str, int] | None = None) -> None:
        """`sizes`: of the job that came, by field, where that is known."""
        for topic in topics:
            for event in self._waiting.get(topic, ()):
                event.set()
            if isinstance(topic, str) and topic in self._pools:
                self._wake_pool(topic, sizes or {})

    def _wake_pool(self, pool: str, sizes: Mapping[str, int]) -> None:
        """Wakes the calls in the order of their turns, a few at once and the next a little later.

        Jobs that come before those are woken begin at the front with the next few.
        """
        self._came[pool] = sizes
        if pool not in self._queued:
            self._wake_next(pool)

    def _wake_next(self, pool: str) -> None:
        turns = self._pools.get(pool, {})
        if (sizes := self._came.pop(pool, None)) is not None:
            in_order = sorted(turns, key=lambda event: (not turns[event].fits(sizes), turns[event].after_seconds))
            self._queued[pool] = deque(in_order)
        queued = self._queued[pool]
        woken = 0
        while queued and woken < WAKE_OF_A_POOL:
            event = queued.popleft()
            if event in turns and not event.is_set():
                event.set()
                woken += 1
        if queued or woken:
            wave = asyncio.get_running_loop().create_task(self._wake_others(pool))
            self._waves.add(wave)
            wave.add_done_callback(self._waves.discard)
        else:
            del self._queued[pool]

    async def _wake_others(self, pool: str) -> None:
        await asyncio.sleep(NEXT_AFTER_SECONDS)
        if pool in self._came or await self._still_wait(pool) or pool in self._came:
            self._wake_next(pool)
        else:
            del self._queued[pool]

    def wake_all(self) -> None:
        for events in (*self._waiting.values(), *self._pools.values()):
            for event in events:
                event.set()

    def wake_all_jobs(self) -> None:
        self.wake([topic for topic in self._waiting if isinstance(topic, int)])

    def wake_all_relays(self) -> None:
        self.wake([topic for topic in self._waiting if isinstance(topic, RelayId)])

    @property
    def queues(self) -> list[str]:
        return [*(topic for topic in self._waiting if isinstance(topic, str)), *self._pools]

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

    def _leave_pool(self, pool: str, event: asyncio.Event) -> None:
        del self._pools[pool][event]
        if not self._pools[pool]:
            del self._pools[pool]
