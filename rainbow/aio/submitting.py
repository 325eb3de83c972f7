"""Submits many jobs over as many streams as that takes, as rainbow/submitting.py does."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from itertools import islice

from rainbow.aio.pauses import AsyncPatience
from rainbow.errors import RainbowError, Unavailable
from rainbow.records import SubmitResult
from rainbow.submitting import WINDOW, Answer, Batch, results_of

Outbox = asyncio.Queue[Batch | None]
Stream = Callable[[AsyncIterator[Batch]], AsyncIterator[Answer]]


class Submitting:
    """Sends batches ahead of their answers, and again those that a broken stream left without one."""

    def __init__(self, stream: Stream, *, patience: AsyncPatience) -> None:
        self._stream = stream
        self._patience = patience
        self._unanswered: deque[Batch] = deque()
        self._outbox: Outbox = asyncio.Queue()
        self._answers: AsyncIterator[Answer] | None = None

    async def results(self, batches: Iterator[Batch]) -> AsyncIterator[SubmitResult]:
        """One for each job, in their order. Raises Unavailable when no server answers for too long."""
        try:
            while self._fill(batches):
                answer = await self._next_answer()
                for result in results_of(answer, batch=self._unanswered.popleft()):
                    yield result
        except RainbowError as error:
            error.idempotency_keys = tuple(job.idempotency_key for batch in self._unanswered for job in batch.jobs)
            raise
        finally:
            await self._close()

    def _fill(self, batches: Iterator[Batch]) -> bool:
        for batch in islice(batches, WINDOW - len(self._unanswered)):
            self._unanswered.append(batch)
            self._outbox.put_nowait(batch)
        return bool(self._unanswered)

    async def _next_answer(self) -> Answer:
        while True:
            try:
                answers = self._answers or self._open()
                answer = await anext(answers)
            except StopAsyncIteration:
                failure = Unavailable("the server ended the stream")
            except Unavailable as error:
                failure = error
            else:
                self._patience.renew()
                return answer
            self._answers = None
            await self._patience.rest(failure)

    def _open(self) -> AsyncIterator[Answer]:
        """A new stream begins with all that is unanswered; the outbox follows."""
        self._outbox.put_nowait(None)
        self._outbox = asyncio.Queue()
        for batch in self._unanswered:
            self._outbox.put_nowait(batch)
        self._answers = self._stream(_taken_from(self._outbox))
        return self._answers

    async def _close(self) -> None:
        """Let the server see the end of the stream. Does not wait for missing answers."""
        self._outbox.put_nowait(None)
        if self._answers and not self._unanswered:
            with suppress(Unavailable):
                await anext(self._answers, None)


async def _taken_from(outbox: Outbox) -> AsyncIterator[Batch]:
    while batch := await outbox.get():
        yield batch
