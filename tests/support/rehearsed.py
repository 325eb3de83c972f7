"""A scripted server, for what a real one cannot be made to do, such as losing an answer."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message_factory import GetMessageClass

from rainbow.client import Client
from rainbow.protos import rainbow_pb2 as pb
from rainbow.retries import Retries
from rainbow.terminal import session
from tests.support.patience import PATIENCE_SECONDS
from tests.support.ports import free_port

SERVICE = pb.DESCRIPTOR.services_by_name["RainbowScheduler"]
Line = Any  # a message to answer, a status code to fail with, or a function of the call's context


@dataclass(slots=True)
class RehearsedServer:
    """Answers calls with the lines of a script, in order, and records the requests."""

    address: str = ""
    script: list[Line] = field(default_factory=list)
    asked: list[Any] = field(default_factory=list)
    metadata: list[dict[str, str]] = field(default_factory=list)

    def answer(self, request: Any, context: grpc.ServicerContext) -> Any:
        self.asked.append(request)
        self.metadata.append({key: str(value) for key, value in context.invocation_metadata()})
        line = self.script.pop(0)
        if isinstance(line, grpc.StatusCode):
            context.abort(line, "as rehearsed")
        return line(context) if isinstance(line, Callable) else line  # type: ignore[arg-type]


@contextmanager
def rehearsed_server(
    *script: Line, address: str = "", credentials: grpc.ServerCredentials | None = None
) -> Iterator[RehearsedServer]:
    """At a port that nobody else is given when the server is gone."""
    rehearsed = RehearsedServer(script=list(script))
    server = grpc.server(ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers([_handlers(rehearsed)])
    rehearsed.address = f"localhost:{_listen(server, address or f'localhost:{free_port()}', credentials)}"
    server.start()
    yield rehearsed
    server.stop(None).wait()


Rehearse = Callable[..., tuple[RehearsedServer, Client]]


class Clock:
    """Time that passes only in `sleep`."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pauses: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds

    def retries(self, **options: Any) -> Retries:
        return Retries(clock=lambda: self.now, sleep=self.sleep, **options)


@pytest.fixture
def clock() -> Clock:
    return Clock()


# For calls of `two_attempts`, and the same on the command line.
TWO_ATTEMPTS_SECONDS = 2 * PATIENCE_SECONDS
TWO_ATTEMPTS = ("--timeout", str(TWO_ATTEMPTS_SECONDS))


def two_attempts(**options: Any) -> Retries:
    """A call that finds no server is made twice, without a pause, and each time with the patience of a test.

    With a short timeout the last attempt, on a machine that stands still, tells of nothing but its timeout.
    """
    pauses = {"first_pause_seconds": PATIENCE_SECONDS, "longest_pause_seconds": PATIENCE_SECONDS}
    return Clock().retries(jitter=lambda shortest, longest: longest, **pauses, **options)


@pytest.fixture
def tried_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the command line does with TWO_ATTEMPTS."""
    monkeypatch.setattr(session, "Retries", two_attempts)


@pytest.fixture
def rehearse(clock: Clock) -> Iterator[Rehearse]:
    """Start a scripted server and a client of it that never really sleeps."""
    with ExitStack() as stack:

        def start(*script: Any, **options: Any) -> tuple[RehearsedServer, Client]:
            server = stack.enter_context(rehearsed_server(*script))
            options = {"cluster": "keebler", "token": "the-token", "secret": "the-secret", **options}
            client = Client(server.address, **{"retries": clock.retries(), **options})
            return server, stack.enter_context(client)

        yield start


def _listen(server: grpc.Server, address: str, credentials: grpc.ServerCredentials | None) -> int:
    if credentials:
        return server.add_secure_port(address, credentials)
    return server.add_insecure_port(address)


def _handlers(rehearsed: RehearsedServer) -> grpc.GenericRpcHandler:
    unary = [method for method in SERVICE.methods if not method.client_streaming]
    return grpc.method_handlers_generic_handler(
        SERVICE.full_name, {method.name: _handler(rehearsed, method) for method in unary}
    )


def _handler(rehearsed: RehearsedServer, method: MethodDescriptor) -> Any:
    return grpc.unary_unary_rpc_method_handler(
        rehearsed.answer,
        request_deserializer=GetMessageClass(method.input_type).FromString,
        response_serializer=GetMessageClass(method.output_type).SerializeToString,
    )
