"""Waiting for work that this process's own transactions left to be done."""

import asyncio
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress

from jobs.left_to_do import Work, listening


class Due:
    """Not thread-safe but for the listener: for the event loop alone."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._event = asyncio.Event()
        self._ids: set[int] = set()

    async def wait(self, *, at_most: float) -> None:
        """Returns once something is due, or after so many seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(at_most):
                await self._event.wait()

    def take(self) -> set[int]:
        """What came since the last call."""
        self._event.clear()
        ids, self._ids = self._ids, set()
        return ids

    def hear(self, ids: Collection[int]) -> None:
        """From any thread."""
        self._loop.call_soon_threadsafe(self._note, ids)

    def _note(self, ids: Collection[int]) -> None:
        self._ids.update(ids)
        self._event.set()


@contextmanager
def hearing_of(work: Work) -> Iterator[Due]:
    due = Due()
    with listening(work, due.hear):
        yield due
