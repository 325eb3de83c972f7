"""A call whose answer is awaited while other work goes on."""

from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

import grpc

from rainbow.errors import RainbowError

Answer = TypeVar("Answer")
Record = TypeVar("Record")
Covariant = TypeVar("Covariant", covariant=True)


class Call(Protocol[Covariant]):
    """A gRPC call under way."""

    def result(self) -> Covariant: ...
    def done(self) -> bool: ...
    def cancel(self) -> Any: ...
    def add_done_callback(self, fn: Callable[[Any], None]) -> None: ...


class PendingCall(Generic[Record]):
    """Nothing is repeated: the caller decides what a failure means."""

    def __init__(
        self,
        call: Call[Answer],
        *,
        read: Callable[[Answer], Record],
        failure: Callable[[grpc.RpcError], RainbowError],
    ) -> None:
        self._call = call
        self._answer: Callable[[], Record] = lambda: read(call.result())
        self._failure = failure

    def when_done(self, tell: Callable[[], None]) -> None:
        """`tell` is called from another thread once the answer or a failure is there."""
        self._call.add_done_callback(lambda _: tell())

    def done(self) -> bool:
        return self._call.done()

    def result(self) -> Record:
        """Blocks until the answer is there. Raises what the server's status code stands for."""
        try:
            return self._answer()
        except grpc.RpcError as error:
            raise self._failure(error) from error

    def cancel(self) -> None:
        self._call.cancel()
