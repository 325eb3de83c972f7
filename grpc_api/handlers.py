"""The frame around every call: reads the request, answers failures with their code, writes one line of log."""

import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any

import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from grpc_api.calls import Call, bearer_in
from grpc_api.decoding import decode
from grpc_api.errors import FIELD_METADATA_KEY, status_of
from rainbow.protos import rainbow_pb2 as pb

SERVICE = pb.DESCRIPTOR.services_by_name["RainbowScheduler"]

Context = grpc.aio.ServicerContext[bytes, Message]
Unary = Callable[[Any, Call], Awaitable[Message]]
Streaming = Callable[[Any, Call], AsyncIterator[Message]]

_log = logging.getLogger("rainbow.grpc")


def generic_handler(servicer: object) -> grpc.GenericRpcHandler:
    """Every RPC of the proto, answered by the servicer's method of the same name."""
    handlers = {method.name: _handler(method, getattr(servicer, method.name)) for method in SERVICE.methods}
    return grpc.method_handlers_generic_handler(SERVICE.full_name, handlers)


def _handler(method: MethodDescriptor, answer: Any) -> "grpc.RpcMethodHandler[Any, Any]":
    kind = GetMessageClass(method.input_type)
    if method.client_streaming:
        return grpc.stream_stream_rpc_method_handler(
            _stream(method.name, partial(_decoded, kind), answer), response_serializer=_serialize
        )
    if method.server_streaming:
        return grpc.unary_stream_rpc_method_handler(
            _stream(method.name, partial(decode, kind), answer), response_serializer=_serialize
        )
    return grpc.unary_unary_rpc_method_handler(_unary(method.name, kind, answer), response_serializer=_serialize)


def _serialize(message: Message) -> bytes:
    return message.SerializeToString()


def _unary(name: str, kind: type[Message], answer: Unary) -> Callable[[bytes, Context], Awaitable[Message]]:
    async def handle(data: bytes, context: Context) -> Message:
        call, began = _call(context), time.perf_counter()
        try:
            reply = await answer(decode(kind, data), call)
        except Exception as error:
            await _refuse(error, name, call, context, began)
        _write_log(name, call, grpc.StatusCode.OK, began)
        return reply

    return handle


async def _decoded(kind: type[Message], items: AsyncIterator[bytes]) -> AsyncIterator[Message]:
    async for data in items:
        yield decode(kind, data)


def _stream(
    name: str, read: Callable[[Any], Any], answer: Streaming
) -> Callable[[Any, Context], AsyncIterator[Message]]:
    async def handle(received: Any, context: Context) -> AsyncIterator[Message]:
        call, began = _call(context), time.perf_counter()
        try:
            async for reply in answer(read(received), call):
                yield reply
        except Exception as error:
            await _refuse(error, name, call, context, began)
        _write_log(name, call, grpc.StatusCode.OK, began)

    return handle


def _call(context: Context) -> Call:
    bearer = bearer_in(context.invocation_metadata())
    return Call(bearer=bearer, seconds_left=context.time_remaining(), peer=context.peer)


async def _refuse(error: Exception, name: str, call: Call, context: Context, began: float) -> None:
    code, shown = status_of(error)
    call.note(peer=call.peer(), field=shown.field)
    _write_log(name, call, code, began)
    metadata = ((FIELD_METADATA_KEY, shown.field),) if shown.field else ()
    await context.abort(code, str(shown), metadata)


def _write_log(name: str, call: Call, code: grpc.StatusCode, began: float) -> None:
    if not _log.isEnabledFor(logging.INFO):
        return
    facts = "".join(f" {key}={value}" for key, value in call.notes.items() if value not in ("", None))
    _log.info("%s%s code=%s ms=%.1f", name, facts, code.name, (time.perf_counter() - began) * 1000)
