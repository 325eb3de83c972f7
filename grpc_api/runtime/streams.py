"""Client streams that end when the server stops."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, TypeVar

T = TypeVar("T")


async def until(closing: asyncio.Event, items: AsyncIterator[T]) -> AsyncIterator[T]:
    """The items that arrive until the stream ends or `closing` is set: a silent client holds up no server.

    Holds none while it waits for the next. Nor may who iterates: the budget of requests has it back by then.
    """
    stop = asyncio.ensure_future(closing.wait())
    tasks: set[asyncio.Future[Any]] = {stop}
    iterator = aiter(items)
    try:
        while True:
            coming = asyncio.ensure_future(anext(iterator))
            tasks = {coming, stop}
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if not coming.done():
                return
            yield coming.result()
    except StopAsyncIteration:
        return
    finally:
        for task in tasks:
            task.cancel()
