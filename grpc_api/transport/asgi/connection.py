"""A call as an ASGI server sees it."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

import grpc

from grpc_api.transport.asgi.frames import Frames
from grpc_api.transport.asgi.metadata import metadata_in, peer_in, seconds_in
from grpc_api.transport.asgi.partial_messages import PartialMessages
from grpc_api.transport.asgi.peer_certificate import auth_context_in
from grpc_api.transport.calls import Refusal
from rainbow.errors import InvalidArgument

Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

LATE = Refusal(code=grpc.StatusCode.DEADLINE_EXCEEDED, message="Deadline Exceeded")

# For a message whose beginning has come: a client that sends a byte now and again would hold its memory for ever.
_MESSAGE_SECONDS = 60
# Calls that take less are not asked whether their clients are still there: a task for each would cost a tenth of them.
_WATCH_AFTER_SECONDS = 0.1


class AsgiConnection:
    """`task` is cancelled when the client gives the call up, its deadline passes, or the server ends it.

    The first is seen while the call reads; a call of one request is watched besides. `cut` is what the client is told
    of the others.
    """

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        task: "asyncio.Task[Any]",
        partial: PartialMessages,
        *,
        has_many_requests: bool,
    ) -> None:
        self._partial = partial
        self._scope = scope
        self._has_many_requests = has_many_requests
        self._receive = receive
        self._task = task
        self._frames = Frames()
        self._has_body = True
        self._metadata = metadata_in(scope["headers"])
        timeout = next((value for key, value in scope["headers"] if key == b"grpc-timeout"), b"")
        seconds = seconds_in(timeout)
        self._deadline = None if seconds is None else time.monotonic() + seconds
        self._timers: list[asyncio.TimerHandle] = []
        self._watch: asyncio.Task[None] | None = None
        self.is_gone = False
        self.cut: Refusal | None = None

    def __enter__(self) -> "AsgiConnection":
        if self._deadline is not None:
            self._call_later(self._deadline - time.monotonic(), self._end_late)
        return self

    def __exit__(self, *failure: object) -> None:
        for timer in self._timers:
            timer.cancel()
        if self._watch is not None:
            self._watch.cancel()

    async def read(self) -> Any:
        """Raises RainbowError."""
        message = self._frames.message()
        if message is None and self._has_body:
            message = await self._next_message()
        if message is not None:
            if not self._has_many_requests:
                self._call_later(_WATCH_AFTER_SECONDS, self._begin_to_watch)
            return message
        if self._frames.size:
            raise InvalidArgument("the request ends within a message")
        return grpc.aio.EOF

    def invocation_metadata(self) -> Iterable[tuple[str, str | bytes]]:
        return self._metadata

    def time_remaining(self) -> float | None:
        if self._deadline is None:
            return None
        # Timers may be a little early.
        return 0.0 if self.cut is LATE else max(0.0, self._deadline - time.monotonic())

    def peer(self) -> str:
        return peer_in(self._scope.get("client"))

    def auth_context(self) -> Mapping[str, Iterable[bytes]]:
        return auth_context_in(self._scope["extensions"].get("tls"))

    def end(self, refusal: Refusal) -> None:
        self.cut = refusal
        self._task.cancel()

    async def _next_message(self) -> bytes | None:
        await self._take_piece()
        message = self._frames.message()
        if message is None and self._has_body:
            message = await self._rest_of_message()
        return message

    async def _rest_of_message(self) -> bytes | None:
        held = 0
        try:
            async with asyncio.timeout(_MESSAGE_SECONDS):
                while (message := self._frames.message()) is None and self._has_body:
                    self._partial.hold(self._frames.size - held)
                    held = self._frames.size
                    await self._take_piece()
        except TimeoutError:
            raise InvalidArgument(f"the rest of the message did not come within {_MESSAGE_SECONDS} s") from None
        finally:
            self._partial.let_go(held)
        return message

    async def _take_piece(self) -> None:
        piece = await self._receive()
        if piece["type"] == "http.disconnect":
            await self._end_gone()
        self._frames.add(piece.get("body", b""))
        self._has_body = bool(piece.get("more_body"))

    async def _end_gone(self) -> None:
        """Also when it is not the call's own task that reads."""
        self.is_gone = True
        self._task.cancel()
        await asyncio.get_running_loop().create_future()

    def _begin_to_watch(self) -> None:
        self._watch = asyncio.create_task(self._watch_client())

    async def _watch_client(self) -> None:
        while (event := await self._receive())["type"] != "http.disconnect":
            # What follows the only request is left to flow control.
            if event.get("body"):
                return
        self.is_gone = True
        self._task.cancel()

    def _call_later(self, seconds: float, act: Callable[[], None]) -> None:
        self._timers.append(asyncio.get_running_loop().call_later(seconds, act))

    def _end_late(self) -> None:
        self.end(LATE)
