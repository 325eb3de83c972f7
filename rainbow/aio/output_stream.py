# Written from rainbow/output_stream.py by `make client`. Change that file.
"""Reads an output to its end, over as many streams as that takes."""

from collections.abc import AsyncIterator, Callable

from rainbow.aio.pauses import AsyncPatience
from rainbow.errors import FailedPrecondition, Unavailable
from rainbow.records import OutputPart
from rainbow.retries import Retries

Stream = Callable[[int], AsyncIterator[OutputPart]]


async def follow(
    stream: Stream, from_byte: int, *, retries: Retries, first_seconds: float
) -> AsyncIterator[OutputPart]:
    """The parts in their order. A stream that breaks is reopened where it broke, with growing pauses.

    An agent that is cut off has to find its server again as well: once it has answered, FailedPrecondition is retried,
    too. An output that another attempt wrote meanwhile is not joined to it.
    """
    patience = AsyncPatience(retries, first_seconds=first_seconds)
    next_byte, attempt = (from_byte, 0)
    while True:
        try:
            async for part in stream(next_byte):
                if attempt and part.attempt != attempt:
                    return
                patience.renew()
                attempt = part.attempt
                next_byte = part.offset + len(part.data)
                yield part
            return
        except Unavailable as error:
            failure = error
        except FailedPrecondition as error:
            if not attempt:
                raise
            failure = Unavailable(error.message)
        await patience.rest(failure)
