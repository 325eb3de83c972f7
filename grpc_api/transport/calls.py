"""What is the same around a call on every transport: requests are decoded under limits, errors become codes, and each
call is counted and writes one line of log.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message

from grpc_api.rpcs.call import Call, bearer_in
from grpc_api.transport import extensions
from grpc_api.transport.errors import FIELD_METADATA_KEY, RETRY_AFTER_METADATA_KEY, status_of
from grpc_api.transport.formats import Format, format_of
from grpc_api.transport.peers import is_forwarded, peer_of
from grpc_api.transport.requests import Requests
from grpc_api.transport.shedding import PUSHBACK_METADATA_KEY, PUSHBACK_MS, Load, Overloaded
from grpc_api.transport.tls import clusters_certified_by
from rainbow.errors import LimitReached, Untouched
from rainbow.protos import rainbow_pb2 as pb
from rainbow.telemetry import request_ids, traces
from rainbow.telemetry.lines import Line

SERVICE = pb.DESCRIPTOR.services_by_name["RainbowScheduler"]

_log = logging.getLogger("rainbow.grpc")


class Connection(Protocol):
    """A call as its transport sees it; gRPC's own context is one."""

    async def read(self) -> Any:
        """The bytes of the next message; `grpc.aio.EOF` after the last."""

    def invocation_metadata(self) -> Iterable[tuple[str, str | bytes]] | None: ...

    def time_remaining(self) -> float | None: ...

    def peer(self) -> str: ...

    def auth_context(self) -> Mapping[str, Iterable[bytes]]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """How a failed call ends. Returned, not raised: an exception's traceback would keep the request in memory."""

    code: grpc.StatusCode
    message: str
    trailers: tuple[tuple[str, str], ...] = ()


class MethodFactory:
    """Makes methods that a transport can serve of a servicer's, which know nothing of transports.

    On the wire a unary request is a stream of one message. Handled as such, it is refused under load before its message
    is read, and ends with a code when no message comes.
    """

    def __init__(self, *, load: Load, requests: Requests) -> None:
        self._load = load
        self._requests = requests

    def rainbow(self, servicer: object) -> dict[str, "Method"]:
        return self.of(SERVICE.full_name, SERVICE.methods, servicer, format_of)

    def of(
        self,
        service: str,
        methods: Iterable[Any],
        servicer: object,
        form_of: Callable[[MethodDescriptor], Format],
    ) -> dict[str, "Method"]:
        """By path. Each RPC of the proto is answered by the servicer's method of the same name."""
        return {
            f"/{service}/{method.name}": Method(
                method, form_of(method), getattr(servicer, method.name), load=self._load, requests=self._requests
            )
            for method in methods
        }


class Method:
    """`has_many` replies, or requests: then `replies` answers its calls, else `reply`."""

    def __init__(
        self, descriptor: MethodDescriptor, form: Format, answer: Any, *, load: Load, requests: Requests
    ) -> None:
        self.has_many = bool(descriptor.client_streaming or descriptor.server_streaming)
        self.has_many_requests = bool(descriptor.client_streaming)
        self._form = form
        self._answer = answer
        self._load = load
        self._requests = requests

    async def reply(self, connection: Connection) -> Message | Refusal:
        call, began = _call(self._form, connection), time.perf_counter()
        try:
            reply = await self._reply(connection, call)
        except Exception as error:
            return self._refusal(error, call, began)
        except asyncio.CancelledError:
            _end(self._form, call, _given_up(connection), began)
            raise
        else:
            _end(self._form, call, grpc.StatusCode.OK, began)
            return reply

    async def replies(self, connection: Connection) -> AsyncGenerator[Message | Refusal, None]:
        """A refusal is the last."""
        call, began = _call(self._form, connection), time.perf_counter()
        try:
            async with aclosing(self._replies(connection, call)) as replies:
                async for reply in replies:
                    yield reply
                    # The next one may be long in coming.
                    del reply
        except Exception as error:
            refusal = self._refusal(error, call, began)
        except (asyncio.CancelledError, GeneratorExit):
            _end(self._form, call, _given_up(connection), began)
            raise
        else:
            _end(self._form, call, grpc.StatusCode.OK, began)
            return
        yield refusal

    async def _reply(self, connection: Connection, call: Call) -> Message:
        form = self._form
        with self._load.call() as share:
            request = await self._requests.only(form, connection, call, share)
            reply: Message = await self._answer(request, call)
            if form.extensions and not (call.knows_extensions or extensions.uses_extensions(request)):
                extensions.clear(reply, form.extensions)
            return reply

    async def _replies(self, connection: Connection, call: Call) -> AsyncGenerator[Message, None]:
        form = self._form
        with self._load.call() as share, form.metrics.stream():
            each = self._requests.each(form, connection, call, share)
            request = each if self.has_many_requests else await self._requests.only(form, connection, call, share)
            # Of the frozen calls only Stream has many replies, and its requests have no extension fields.
            hidden = () if call.knows_extensions else form.extensions
            async with aclosing(self._answer(request, call)) as replies:
                async for reply in replies:
                    extensions.clear(reply, hidden)
                    yield reply
                    del reply

    def _refusal(self, error: Exception, call: Call, began: float) -> Refusal:
        """How a failed call ends; also writes its line of log.

        Drops the traceback, which holds the request: errors in a reference cycle, as gRPC's own are, live until the
        garbage collector runs.
        """
        code, shown = status_of(error, request_id=call.request_id)
        error.__traceback__ = None
        field = _as_metadata(shown.field)
        trailers = {
            FIELD_METADATA_KEY: field,
            PUSHBACK_METADATA_KEY: _pushback_of(error),
            # Clients of the original protocol send no request ids, and see neither.
            RETRY_AFTER_METADATA_KEY: _retry_after(error) if call.sent_request_id else "",
            request_ids.KEY: call.request_id if call.sent_request_id else "",
        }
        if isinstance(error, Overloaded):
            self._load.note_refusal(error)
            self._form.metrics.ended(code, time.perf_counter() - began)
        else:
            call.note(peer=call.peer(), field=field)
            _end(self._form, call, code, began)
        present = tuple((key, value) for key, value in trailers.items() if value)
        # Names in what the caller sent may be no text at all.
        message = str(shown).encode(errors="backslashreplace").decode()
        return Refusal(code=code, message=message, trailers=present)


def _as_metadata(field: str) -> str:
    """Without the characters that would break the call's last frame. Names of fields may be the caller's."""
    if field.isascii() and field.isprintable():
        return field
    return "".join(character if " " <= character <= "~" else "?" for character in field)


def _retry_after(error: Exception) -> str:
    return str(error.retry_after_seconds) if isinstance(error, LimitReached) else ""


def _pushback_of(error: Exception) -> str:
    """In how many milliseconds a call that the server did not touch may be retried; empty for all others."""
    return str(PUSHBACK_MS) if isinstance(error, Untouched) else ""


def _call(form: Format, connection: Connection) -> Call:
    metadata = connection.invocation_metadata()
    offered = next((value for key, value in metadata or () if key == request_ids.KEY), None)
    return Call(
        bearer=bearer_in(metadata),
        request_id=request_ids.request_id_from(offered),
        sent_request_id=offered is not None,
        seconds_left=connection.time_remaining(),
        knows_extensions=extensions.is_named_in(metadata),
        peer=partial(peer_of, connection, metadata),
        certified=partial(clusters_certified_by, connection),
        forwarded=partial(is_forwarded, metadata),
        span=_span(form, metadata),
    )


def _span(form: Format, metadata: Iterable[tuple[str, str | bytes]] | None) -> traces.Span:
    if form.quiet or not traces.are_on():
        return traces.NO_SPAN
    return traces.begin(form.name, "server", parent=str(dict(metadata or ()).get(traces.KEY, "")))


def _given_up(connection: Connection) -> grpc.StatusCode:
    """The code of a call that its client cancelled."""
    return grpc.StatusCode.DEADLINE_EXCEEDED if connection.time_remaining() == 0 else grpc.StatusCode.CANCELLED


def _end(form: Format, call: Call, code: grpc.StatusCode, began: float) -> None:
    seconds = time.perf_counter() - began
    form.metrics.ended(code, seconds)
    _write_log(form, call, code, seconds)
    if call.span is not traces.NO_SPAN:
        error = "" if code is grpc.StatusCode.OK else code.name
        call.span.end(error=error, attributes={"request_id": call.request_id, **call.notes})


def _write_log(form: Format, call: Call, code: grpc.StatusCode, seconds: float) -> None:
    if form.quiet or not _log.isEnabledFor(logging.INFO):
        return
    ms = seconds * 1000
    _log.info(Line("call", ("call",), call=form.name, **call.notes, code=code.name, ms=ms, request_id=call.request_id))
