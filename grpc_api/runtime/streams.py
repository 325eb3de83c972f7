"""Client streams that end when the server stops."""

import asyncio
from collections.abc import AsyncIterator
from typing import TypeVar

T = TypeVar("T")


async def until(closing: asyncio.Event, items: AsyncIterator[T]) -> AsyncIterator[T]:
    """The items that arrive until the stream ends or `closing` is set: a silent client holds up no server."""
    stop = asyncio.ensure_future(closing.wait())
    iterator = aiter(items)
    try:
        while True:
            coming = asyncio.ensure_future(anext(iterator))
            await asyncio.wait({coming, stop}, return_when=asyncio.FIRST_COMPLETED)
            if not coming.done():
                coming.cancel()
                return
            yield coming.result()
    except StopAsyncIteration:
        return
    finally:
        stop.cancel()
