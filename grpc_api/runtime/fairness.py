"""Fair queueing: a caller with much to do does not delay the others."""

from collections import deque
from typing import Generic, TypeVar

Item = TypeVar("Item")


class FairQueue(Generic[Item]):
    """Round robin over callers; first in, first out within one."""

    def __init__(self) -> None:
        self._waiting: dict[str, deque[Item]] = {}
        self._length = 0

    def __len__(self) -> int:
        """Safe in another thread."""
        return self._length

    def add(self, caller: str, item: Item) -> None:
        self._waiting.setdefault(caller, deque()).append(item)
        self._length += 1

    def first(self) -> Item | None:
        """What `next` would take."""
        return next(iter(self._waiting.values()))[0] if self._waiting else None

    def next(self) -> Item | None:
        if not self._waiting:
            return None
        caller, items = next(iter(self._waiting.items()))
        item = items.popleft()
        self._length -= 1
        # A caller with more items goes to the end of the round.
        del self._waiting[caller]
        if items:
            self._waiting[caller] = items
        return item

    def take_all(self) -> list[Item]:
        items = [item for waiting in self._waiting.values() for item in waiting]
        self._waiting.clear()
        self._length = 0
        return items
