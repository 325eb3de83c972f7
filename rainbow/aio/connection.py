"""One asynchronous channel to a rainbow server: what rainbow/connection.py is to threads."""

import asyncio
import math
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager
from functools import partial
from typing import TypeVar

import grpc
import grpc.aio

from rainbow import translation
from rainbow.address import with_port
from rainbow.aio import pauses
from rainbow.call_errors import failure_of
from rainbow.call_log import CallLog, Metadata
from rainbow.connection import SILENCE_SECONDS, channel_options, check_timeout, client_was_closed, metadata_of
from rainbow.connection_diagnosis import ConnectionDiagnosis
from rainbow.errors import DeadlineExceeded, InvalidArgument, RainbowError, Unauthenticated, Unavailable, Untouched
from rainbow.protos.rainbow_pb2_grpc import RainbowSchedulerStub
from rainbow.retries import Retries
from rainbow.tls import Tls

Question = TypeVar("Question")
Answer = TypeVar("Answer")
# A channel that is closed cancels its calls, as if that were wished of their tasks, and refuses to begin others.
OF_A_CLOSED_CHANNEL = (asyncio.CancelledError, grpc.aio.UsageError, ValueError)


class AsyncConnection:
    """Belongs to the event loop that runs when it is made."""

    def __init__(self, host: str, *, timeout_seconds: float, retries: Retries, tls: Tls) -> None:
        self.host = with_port(host)
        check_timeout(timeout_seconds)
        self.timeout_seconds = timeout_seconds
        self.answers = 0
        self.answered_at = 0.0
        self._retries = retries
        self._is_closed = False
        self._diagnosis = ConnectionDiagnosis(self.host, tls=tls)
        self._tls = tls
        self._stamps = tls.stamps()
        self._use(_open_channel(self.host, tls))

    def _use(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel
        self.stub = RainbowSchedulerStub(channel)

    async def close(self) -> None:
        """Ends calls under way, too, which are not repeated then."""
        self._is_closed = True
        await self._channel.close()

    async def ask(
        self, call: "grpc.aio.UnaryUnaryMultiCallable[Question, Answer]", request: Question, *, credential: str = ""
    ) -> Answer:
        """Send, and send again whenever the server is not available."""
        return await self._ask(call, request, credential=credential, after=Unavailable)

    async def ask_once(
        self, call: "grpc.aio.UnaryUnaryMultiCallable[Question, Answer]", request: Question, *, credential: str = ""
    ) -> Answer:
        """Send, and send again only if the server certainly did nothing about it."""
        return await self._ask(call, request, credential=credential, after=Untouched)

    async def _ask(
        self,
        call: "grpc.aio.UnaryUnaryMultiCallable[Question, Answer]",
        request: Question,
        *,
        credential: str,
        after: type[Unavailable],
    ) -> Answer:
        metadata = metadata_of(credential)
        return await self.repeat(
            lambda left: self._send(call, request, timeout_seconds=left, metadata=metadata),
            deadline_seconds=self.timeout_seconds,
            after=after,
        )

    async def repeat(
        self,
        attempt: Callable[[float], Awaitable[Answer]],
        *,
        deadline_seconds: float,
        after: type[Unavailable] = Unavailable,
    ) -> Answer:
        return await pauses.repeat(attempt, retries=self._retries, deadline_seconds=deadline_seconds, after=after)

    async def _send(
        self,
        call: "grpc.aio.UnaryUnaryMultiCallable[Question, Answer]",
        request: Question,
        *,
        timeout_seconds: float,
        metadata: Metadata,
    ) -> Answer:
        """One attempt. Raises what the server's status code stands for."""
        log = CallLog(call, metadata)
        try:
            with self._told_if_closed(log):
                answer: Answer | None = await call(request, timeout=timeout_seconds, metadata=log.metadata)
        except grpc.RpcError as error:
            raise log.failed(await self._failure(error)) from error
        if answer is None:  # gRPC lets a call end well without one
            raise translation.nonsense("it is empty")
        self.answers += 1
        self.answered_at = time.time()
        log.ended()
        return answer

    async def stream(
        self,
        call: "grpc.aio.UnaryStreamMultiCallable[Question, Answer]",
        request: Question,
        *,
        metadata: Metadata,
        first_seconds: float = 0,
    ) -> AsyncIterator[Answer]:
        """One attempt at a call with many answers, which ends when the caller stops reading.

        The first comes within `first_seconds`, which is the timeout unless said, or not at all; the others when there
        is something to tell.
        """
        log = CallLog(call, metadata)
        with self._told_if_closed(log):
            answers = call(request, metadata=log.metadata)
        async with aclosing(self._read(answers, log, first_seconds=first_seconds or self.timeout_seconds)) as read:
            async for answer in read:
                yield answer

    async def exchange(
        self,
        call: "grpc.aio.StreamStreamMultiCallable[Question, Answer]",
        requests: AsyncIterator[Question] | Iterator[Question],
        *,
        metadata: Metadata,
    ) -> AsyncIterator[Answer]:
        """The same with many requests, and an answer to each."""
        log = CallLog(call, metadata)
        with self._told_if_closed(log):
            answers = call(requests, metadata=log.metadata)
        wait = SILENCE_SECONDS
        async with aclosing(self._read(answers, log, first_seconds=wait, silence_seconds=wait)) as read:
            async for answer in read:
                yield answer

    async def _read(
        self,
        answers: "grpc.aio.UnaryStreamCall[Question, Answer] | grpc.aio.StreamStreamCall[Question, Answer]",
        log: CallLog,
        *,
        first_seconds: float,
        silence_seconds: float = math.inf,
    ) -> AsyncGenerator[Answer]:
        seconds = first_seconds
        incoming = aiter(answers)
        try:
            while True:
                try:
                    with self._told_if_closed(log):
                        async with asyncio.timeout(None if math.isinf(seconds) else seconds):
                            answer = await anext(incoming)
                except TimeoutError:
                    raise log.failed(Unavailable(f"{self.host} did not answer in time")) from None
                yield answer
                seconds = silence_seconds
        except StopAsyncIteration:
            log.ended()
        except grpc.RpcError as error:
            raise log.failed(await self._failure(error)) from error
        finally:
            answers.cancel()

    @contextmanager
    def _told_if_closed(self, log: CallLog) -> Iterator[None]:
        try:
            yield
        except OF_A_CLOSED_CHANNEL as error:
            if not self._is_of_closing(error):
                raise
            is_under_way = isinstance(error, asyncio.CancelledError)
            raise log.failed(client_was_closed(may_be_done=is_under_way)) from error

    def _is_of_closing(self, error: BaseException) -> bool:
        task = asyncio.current_task()
        is_wished = isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling() > 0
        return self._is_closed and not is_wished

    async def _failure(self, error: grpc.RpcError) -> RainbowError:
        if self._is_closed:
            return client_was_closed()
        state = self._channel.get_state()
        found = partial(
            failure_of,
            error,
            host=self.host,
            diagnose=self._diagnosis.reason,
            is_connecting=lambda: state == grpc.ChannelConnectivity.CONNECTING,
        )
        try:
            # It may look for the reason by connections of its own, which take their time.
            failure = await asyncio.to_thread(found)
        except RuntimeError:  # a program that ends starts no threads any more
            failure = found()
        if isinstance(failure, Unavailable | Unauthenticated | DeadlineExceeded):
            self._renew()
        return failure

    def _renew(self) -> None:
        """Uses the files of certificates again if they have changed, from the next call on.

        Calls under way keep the channel that they have. Files that are not usable yet are tried after the next failure.
        """
        stamps = self._tls.stamps()
        if stamps == self._stamps:
            return
        try:
            channel = _open_channel(self.host, self._tls)
        except InvalidArgument:
            return
        self._stamps = stamps
        self._use(channel)


def _open_channel(host: str, tls: Tls) -> grpc.aio.Channel:
    if not tls:
        return grpc.aio.insecure_channel(host, options=channel_options(host))
    return grpc.aio.secure_channel(host, tls.credentials(), options=channel_options(host))
