"""Fair queueing: a caller with much to do does not delay the others."""

import math
import time
from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush, heapreplace
from itertools import count
from typing import Generic, TypeVar

Item = TypeVar("Item")

# How soon use is forgotten: after so long, to 37 %.
_FORGOTTEN_SECONDS = 1.0
# A caller that used all of a thread's time goes behind those that come so much later. None waits longer for them, so
# new names starve nobody.
_LAG_SECONDS = 0.1
_MANY_CALLERS = 1_000


class Usage:
    """The share of a thread's time that each caller used lately, as a decaying average."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        # (seconds, when), by the hash of the caller: a made-up name may be as long as a message.
        self._used: dict[int, tuple[float, float]] = {}
        self._prune_above = _MANY_CALLERS

    def __len__(self) -> int:
        return len(self._used)

    def share(self, caller: str) -> float:
        seconds, at = self._used.get(hash(caller), (0.0, 0.0))
        return seconds * math.exp((at - self.clock()) / _FORGOTTEN_SECONDS) / _FORGOTTEN_SECONDS if seconds else 0.0

    def charge(self, caller: str, seconds: float) -> None:
        """Negative seconds correct an estimate."""
        now = self.clock()
        self._used[hash(caller)] = (max(0.0, self.share(caller) * _FORGOTTEN_SECONDS + seconds), now)
        if len(self._used) > self._prune_above:
            recent = now - _FORGOTTEN_SECONDS
            self._used = {caller: used for caller, used in self._used.items() if used[1] > recent}
            self._prune_above = max(_MANY_CALLERS, 2 * len(self._used))


class FairQueue(Generic[Item]):
    """Callers take turns as they came, those that used much a little later; within one, first in, first out. What
    `is_given_up` costs its caller no turn: who asks again after a deadline would wait longer each time.
    """

    def __init__(self, usage: Usage, *, is_given_up: Callable[[Item], bool] = lambda item: False) -> None:
        self._usage = usage
        self._is_given_up = is_given_up
        self._waiting: dict[str, deque[Item]] = {}
        # (when it is due, in which order, since when, caller), once for each that waits.
        self._order: list[tuple[float, int, float, str]] = []
        self._numbers = count()
        self._length = 0

    def __len__(self) -> int:
        """Safe in another thread."""
        return self._length

    def add(self, caller: str, item: Item) -> None:
        if (items := self._waiting.get(caller)) is not None:
            items.append(item)
        else:
            self._waiting[caller] = deque((item,))
            heappush(self._order, self._turn(caller, self._usage.clock()))
        self._length += 1

    def due(self) -> float | None:
        """When the next is due; None where nothing waits."""
        return self._first()[0] if self._order else None

    def first(self) -> Item | None:
        """What `next` would take."""
        while self._order:
            caller = self._first()[-1]
            item = self._waiting[caller][0]
            if not self._is_given_up(item):
                return item
            self._pop(caller)
        return None

    def next(self) -> Item | None:
        if (item := self.first()) is None:
            return None
        caller = self._order[0][-1]
        if self._pop(caller):
            heapreplace(self._order, self._turn(caller, self._usage.clock()))
        return item

    def take_all(self) -> list[Item]:
        items = [item for waiting in self._waiting.values() for item in waiting]
        self._waiting.clear()
        self._order.clear()
        self._length = 0
        return items

    def _pop(self, caller: str) -> bool:
        """The first item of the caller who is first. Whether there are more."""
        items = self._waiting[caller]
        items.popleft()
        self._length -= 1
        if not items:
            heappop(self._order)
            del self._waiting[caller]
        return bool(items)

    def _first(self) -> tuple[float, int, float, str]:
        """With what its caller was charged since it began to wait."""
        while True:
            due, _, since, caller = self._order[0]
            turn = self._turn(caller, since)
            if turn[0] <= due or len(self._order) == 1:
                return self._order[0]
            heapreplace(self._order, turn)

    def _turn(self, caller: str, since: float) -> tuple[float, int, float, str]:
        return since + _LAG_SECONDS * self._usage.share(caller), next(self._numbers), since, caller
