"""gRPC's handlers around the RPCs: they decode requests, map errors to codes, and write one line of log a call."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable
from contextlib import aclosing
from functools import partial
from typing import Any

import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message

from grpc_api.rpcs.call import Call, bearer_in
from grpc_api.transport import extensions
from grpc_api.transport.errors import FIELD_METADATA_KEY, status_of
from grpc_api.transport.formats import Format, format_of
from grpc_api.transport.peers import is_forwarded, peer_of
from grpc_api.transport.requests import Requests
from grpc_api.transport.shedding import PUSHBACK_METADATA_KEY, PUSHBACK_MS, Load, Overloaded
from grpc_api.transport.tls import clusters_certified_by
from rainbow.errors import Untouched
from rainbow.protos import rainbow_pb2 as pb
from rainbow.telemetry import request_ids, traces
from rainbow.telemetry.lines import Line

SERVICE = pb.DESCRIPTOR.services_by_name["RainbowScheduler"]

Context = grpc.aio.ServicerContext[Any, Any]
# (request, call); a stream of requests where there are many.
Unary = Callable[[Any, Call], Awaitable[Message]]
Streaming = Callable[[Any, Call], AsyncGenerator[Message, None]]
# Code, message and trailing metadata.
Refusal = tuple[grpc.StatusCode, str, tuple[tuple[str, str], ...]]

_log = logging.getLogger("rainbow.grpc")


def generic_handler(servicer: object, factory: "HandlerFactory") -> grpc.GenericRpcHandler:
    """Each RPC of the proto is answered by the servicer's method of the same name."""
    return handlers_of(SERVICE.full_name, SERVICE.methods, servicer, factory, format_of)


def handlers_of(
    service: str,
    methods: Iterable[Any],
    servicer: object,
    factory: "HandlerFactory",
    form_of: Callable[[MethodDescriptor], Format],
) -> grpc.GenericRpcHandler:
    handlers = {
        method.name: factory.handler(method, form_of(method), getattr(servicer, method.name)) for method in methods
    }
    return grpc.method_handlers_generic_handler(service, handlers)


class HandlerFactory:
    """Makes gRPC's handlers of methods that know nothing of gRPC.

    On the wire a unary request is a stream of one message. Handled as such, it is refused under load before its message
    is read, and ends with a code when no message comes.
    """

    def __init__(self, *, load: Load, requests: Requests) -> None:
        self._load = load
        self._requests = requests

    def handler(self, method: MethodDescriptor, form: Format, answer: Any) -> "grpc.RpcMethodHandler[Any, Any]":
        if method.client_streaming or method.server_streaming:
            streaming = self._streaming(form, answer, many=method.client_streaming)
            return grpc.stream_stream_rpc_method_handler(streaming, response_serializer=_serialize)
        return grpc.stream_unary_rpc_method_handler(self._unary(form, answer), response_serializer=_serialize)

    def _unary(self, form: Format, answer: Unary) -> Callable[[object, Context], Awaitable[Message]]:
        async def handle(_: object, context: Context) -> Message:
            call, began = _call(form, context), time.perf_counter()
            try:
                reply = await self._reply(form, answer, context, call)
            except Exception as error:
                refusal = self._refusal(error, form, call, began)
            except asyncio.CancelledError:
                _end(form, call, _given_up(context), began)
                raise
            else:
                _end(form, call, grpc.StatusCode.OK, began)
                return reply
            return await context.abort(*refusal)

        return handle

    def _streaming(
        self, form: Format, answer: Streaming, *, many: bool
    ) -> Callable[[object, Context], AsyncIterator[Message]]:
        async def handle(_: object, context: Context) -> AsyncIterator[Message]:
            call, began = _call(form, context), time.perf_counter()
            try:
                async with aclosing(self._replies(form, answer, context, call, many=many)) as replies:
                    async for reply in replies:
                        yield reply
            except Exception as error:
                refusal = self._refusal(error, form, call, began)
            except (asyncio.CancelledError, GeneratorExit):
                _end(form, call, _given_up(context), began)
                raise
            else:
                _end(form, call, grpc.StatusCode.OK, began)
                return
            await context.abort(*refusal)

        return handle

    async def _reply(self, form: Format, answer: Unary, context: Context, call: Call) -> Message:
        with self._load.call() as share:
            request = await self._requests.only(form, context, call, share)
            reply = await answer(request, call)
            if form.extensions and not (call.knows_extensions or extensions.uses_extensions(request)):
                extensions.clear(reply, form.extensions)
            return reply

    async def _replies(
        self, form: Format, answer: Streaming, context: Context, call: Call, *, many: bool
    ) -> AsyncGenerator[Message, None]:
        with self._load.call() as share, form.metrics.stream():
            each = self._requests.each(form, context, call, share)
            request = each if many else await self._requests.only(form, context, call, share)
            # Of the frozen calls only Stream has many replies, and its requests have no extension fields.
            hidden = () if call.knows_extensions else form.extensions
            async with aclosing(answer(request, call)) as replies:
                async for reply in replies:
                    extensions.clear(reply, hidden)
                    yield reply

    def _refusal(self, error: Exception, form: Format, call: Call, began: float) -> Refusal:
        """How a failed call ends; also writes its line of log.

        Drops the traceback, which holds the request: errors in a reference cycle, as gRPC's own are, live until the
        garbage collector runs.
        """
        code, shown = status_of(error, request_id=call.request_id)
        error.__traceback__ = None
        trailers = {
            FIELD_METADATA_KEY: shown.field,
            PUSHBACK_METADATA_KEY: _pushback_of(error),
            # Clients of the original protocol send none, and see none.
            request_ids.KEY: call.request_id if call.sent_request_id else "",
        }
        if isinstance(error, Overloaded):
            self._load.note_refusal(error)
            form.metrics.ended(code, time.perf_counter() - began)
        else:
            call.note(peer=call.peer(), field=shown.field)
            _end(form, call, code, began)
        return code, str(shown), tuple((key, value) for key, value in trailers.items() if value)


def _pushback_of(error: Exception) -> str:
    """In how many milliseconds a call that the server did not touch may be retried; empty for all others."""
    return str(PUSHBACK_MS) if isinstance(error, Untouched) else ""


def _serialize(message: Message) -> bytes:
    return message.SerializeToString()


def _call(form: Format, context: Context) -> Call:
    metadata = context.invocation_metadata()
    offered = next((value for key, value in metadata or () if key == request_ids.KEY), None)
    return Call(
        bearer=bearer_in(metadata),
        request_id=request_ids.request_id_from(offered),
        sent_request_id=offered is not None,
        seconds_left=context.time_remaining(),
        knows_extensions=extensions.is_named_in(metadata),
        peer=partial(peer_of, context, metadata),
        certified=partial(clusters_certified_by, context),
        forwarded=partial(is_forwarded, metadata),
        span=_span(form, metadata),
    )


def _span(form: Format, metadata: Iterable[tuple[str, str | bytes]] | None) -> traces.Span:
    if form.quiet or not traces.are_on():
        return traces.NO_SPAN
    return traces.begin(form.name, "server", parent=str(dict(metadata or ()).get(traces.KEY, "")))


def _given_up(context: Context) -> grpc.StatusCode:
    """The code of a call that its client cancelled."""
    return grpc.StatusCode.DEADLINE_EXCEEDED if context.time_remaining() == 0 else grpc.StatusCode.CANCELLED


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
