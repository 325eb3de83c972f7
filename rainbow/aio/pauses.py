"""Repeats calls while a server cannot be reached, as rainbow/retries.py says, without blocking the event loop.

Of `Retries`, its `sleep` is not used.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from rainbow.errors import RainbowError, Unavailable
from rainbow.retries import Patience, Repetition, Retries

Answer = TypeVar("Answer")


async def repeat(
    attempt: Callable[[float], Awaitable[Answer]],
    *,
    retries: Retries,
    deadline_seconds: float,
    after: type[Unavailable],
) -> Answer:
    repetition = Repetition(retries, deadline_seconds=deadline_seconds, after=after)
    while True:
        try:
            return await attempt(repetition.left())
        except RainbowError as failure:
            pause = repetition.pause_after(failure)
        await asyncio.sleep(pause)


class AsyncPatience:
    def __init__(self, retries: Retries, *, first_seconds: float) -> None:
        self._patience = Patience(retries, first_seconds=first_seconds)

    def renew(self) -> None:
        self._patience.renew()

    async def wait(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def rest(self, failure: Unavailable) -> None:
        await asyncio.sleep(self._patience.pause_after(failure))
        self._patience.rested()
