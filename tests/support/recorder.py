"""A gRPC server that keeps what callers send, and lets another server answer."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc

from tests.support.ports import free_port

# Each stream occupies a thread.
_THREADS = 32
# Set by gRPC itself on every call.
_OF_GRPC = frozenset({"user-agent"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """A message, and the metadata of the call it was sent in."""

    method: str
    content: bytes
    metadata: dict[str, str]


@dataclass(slots=True, kw_only=True)
class Recorder(grpc.GenericRpcHandler):
    """On the wire a unary call is a stream of one message, so that one handler serves all kinds."""

    address: str
    calls: list[Recorded] = field(default_factory=list)
    channel: grpc.Channel

    def service(self, details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[bytes, bytes]":
        path = details.method
        metadata = tuple((key, str(value)) for key, value in details.invocation_metadata if key not in _OF_GRPC)

        def answer(messages: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
            call: Any = self.channel.stream_stream(path)
            answers = call(self._kept(path, messages, metadata), metadata=metadata)
            context.add_callback(lambda: _cancel(answers))
            try:
                yield from answers
            except grpc.RpcError as error:
                refusal: Any = error
                context.set_trailing_metadata(refusal.trailing_metadata())
                context.abort(refusal.code(), refusal.details())

        return grpc.stream_stream_rpc_method_handler(answer)

    def _kept(self, path: str, messages: Iterator[bytes], metadata: tuple[tuple[str, str], ...]) -> Iterator[bytes]:
        for content in messages:
            self.calls.append(Recorded(method=path.rpartition("/")[2], content=content, metadata=dict(metadata)))
            yield content


def _cancel(call: "grpc.Future[bytes]") -> None:
    call.cancel()


@contextmanager
def recorder_before(address: str) -> Iterator[Recorder]:
    with grpc.insecure_channel(address) as channel, ThreadPoolExecutor(_THREADS) as threads:
        recorder = Recorder(address=f"127.0.0.1:{free_port()}", channel=channel)
        server = grpc.server(threads, handlers=[recorder])
        server.add_insecure_port(recorder.address)
        server.start()
        try:
            yield recorder
        finally:
            server.stop(grace=None).wait()
