"""Wake-ups for calls that wait: for jobs of a cluster or a pool, or for a job's next step."""

import asyncio
import math
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from clusters.callers import Holder
from grpc_api.runtime.metrics import WAITING_CALLS
from jobs.notify import Agent, RelayId

# The name of a cluster or a pool, for its queue, a job's id, whose call waits, an agent that may be wanted, or a relay.
Topic = str | int | Holder | Agent | RelayId

# Only one call can have a job, so it wakes so many of those that wait for its queue. While jobs still wait a little
# later, as many again are woken as were by then, up to a bound: many may have come, or none of those may take them.
WAKE_FIRST = 4
WAKE_AT_MOST = 32
NEXT_AFTER_SECONDS = 0.05

# A waiting call polls this often without a wake-up, too: its caller is seen, and a credential that expired ends it.
POLL_EVERY_SECONDS = 60


async def wait_for(wakeup: asyncio.Event, *, at_most: float = math.inf) -> None:
    """Returns at the wake-up, after so many seconds, or when the next poll is due."""
    with suppress(TimeoutError):
        async with asyncio.timeout(min(at_most, POLL_EVERY_SECONDS)):
            await wakeup.wait()


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """The place of a waiting call among those that wait for jobs of the same queue, a cluster's or a pool's.

    Its cluster may take a job once it has waited for `after_seconds`; `fits` tells of a job's sizes whether it asked
    for such.
    """

    after_seconds: int = 0
    fits: Callable[[Mapping[str, int]], bool] = lambda sizes: True

    def place(self, sizes: Mapping[str, int]) -> tuple[bool, int]:
        """Among the others; where no sizes are known, any job fits."""
        return bool(sizes) and not self.fits(sizes), self.after_seconds


@dataclass(slots=True)
class _Waves:
    """Calls that are woken one part after the other, for so many `arrivals` of jobs. `sizes` are those of the last job
    of which they are known. The order of the calls is that for so many arrivals as `ordered`.
    """

    sizes: Mapping[str, int]
    arrivals: int = 1
    ordered: int = 0
    calls: deque[asyncio.Event] = field(default_factory=deque)
    woken: int = 0


async def _always(_queue: str) -> bool:
    return True


class Wakeups:
    """Subscriptions to topics and queues. Not thread-safe: for the event loop alone.

    `still_wait` tells whether jobs of a queue wait: when all are taken, no further calls are woken.
    """

    def __init__(self, still_wait: Callable[[str], Awaitable[bool]] | None = None) -> None:
        self._still_wait = still_wait or _always
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiting: dict[Topic, set[asyncio.Event]] = defaultdict(set)
        self._turns: dict[str, dict[asyncio.Event, Turn]] = defaultdict(dict)
        self._waves: dict[str, _Waves] = {}
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

        `turns` are the queues, by the name of their cluster or pool, that the caller takes jobs of.
        """
        event = asyncio.Event()
        for topic in topics:
            self._waiting[topic].add(event)
        for queue, turn in (turns or {}).items():
            self._turns[queue][event] = turn
        self._any.set()
        self._subscriptions += 1
        try:
            yield event
        finally:
            self._subscriptions -= 1
            for topic in topics:
                self._leave(topic, event)
            for queue in turns or ():
                self._leave_queue(queue, event)

    def wake(self, topics: Iterable[Topic], *, sizes: Mapping[str, int] | None = None) -> None:
        """`sizes`: of the job that came, by field, where that is known."""
        for topic in topics:
            for event in self._waiting.get(topic, ()):
                event.set()
            if isinstance(topic, str) and topic in self._turns:
                self._wake_queue(topic, sizes or {})

    def wake_all_of(self, queues: Iterable[str]) -> None:
        """For what is no job that came: all calls have to look again, and into other pools."""
        for queue in queues:
            for event in self._turns.get(queue, ()):
                event.set()

    def _wake_queue(self, queue: str, sizes: Mapping[str, int]) -> None:
        """Wakes the calls in the order of their turns, a few at once and more a little later.

        Jobs that come before all are woken begin at the front.
        """
        if waves := self._waves.get(queue):
            waves.arrivals += 1
            waves.sizes = sizes or waves.sizes
        else:
            self._waves[queue] = _Waves(sizes)
            self._wake_next(queue)

    def _wake_next(self, queue: str) -> None:
        waves, turns = self._waves[queue], self._turns.get(queue, {})
        if waves.ordered < waves.arrivals:
            waves.ordered = waves.arrivals
            waves.calls = deque(sorted(turns, key=lambda event: turns[event].place(waves.sizes)))
        until = waves.woken + min(max(WAKE_FIRST, waves.woken), WAKE_AT_MOST)
        while waves.calls and waves.woken < until:
            event = waves.calls.popleft()
            if event in turns and not event.is_set():
                event.set()
                waves.woken += 1
        if not waves.calls:
            del self._waves[queue]
            return
        task = asyncio.get_running_loop().create_task(self._wake_others(queue, waves))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _wake_others(self, queue: str, waves: _Waves) -> None:
        """Asks whether jobs wait even after an arrival, since a server is notified of its own submissions as well."""
        await asyncio.sleep(NEXT_AFTER_SECONDS)
        arrivals = waves.arrivals
        try:
            if await self._still_wait(queue) or waves.arrivals > arrivals:
                self._wake_next(queue)
            else:
                del self._waves[queue]
        except BaseException:
            # No job of this queue would wake a call any more.
            self._waves.pop(queue, None)
            raise

    def wake_all(self) -> None:
        for events in (*self._waiting.values(), *self._turns.values()):
            for event in events:
                event.set()

    def wake_all_jobs(self) -> None:
        self.wake([topic for topic in self._waiting if isinstance(topic, int)])

    def wake_all_relays(self) -> None:
        self.wake([topic for topic in self._waiting if isinstance(topic, RelayId)])

    @property
    def queues(self) -> list[str]:
        return [*self._turns]

    @property
    def has_subscribers(self) -> bool:
        return self._subscriptions > 0

    async def until_subscribed(self) -> None:
        self._any.clear()
        if not self._subscriptions:
            await self._any.wait()

    def close(self) -> None:
        self.closing.set()
        self.wake_all()

    def _leave(self, topic: Topic, event: asyncio.Event) -> None:
        self._waiting[topic].discard(event)
        if not self._waiting[topic]:
            del self._waiting[topic]

    def _leave_queue(self, queue: str, event: asyncio.Event) -> None:
        del self._turns[queue][event]
        if not self._turns[queue]:
            del self._turns[queue]
