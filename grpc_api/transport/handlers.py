"""grpcio's handlers of the methods."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Any

import grpc
from google.protobuf.message import Message

from grpc_api.transport.calls import Method, Refusal
from grpc_api.transport.unknown import UnknownCalls

Context = grpc.aio.ServicerContext[Any, Any]


class Handlers(grpc.GenericRpcHandler):
    """A handler for each path, and one that refuses all others without reading the request."""

    def __init__(self, methods: Mapping[str, Method], unknown: UnknownCalls) -> None:
        self._handlers = {path: _handler(method) for path, method in methods.items()}
        self._unknown = unknown

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[Any, Any]":
        path = handler_call_details.method
        return self._handlers.get(path) or self._refusing(path)

    def _refusing(self, path: str) -> "grpc.RpcMethodHandler[Any, Any]":
        async def refuse(_: object, context: Context) -> Message:
            return await _abort(context, self._unknown.refuse(path, context))

        return grpc.stream_unary_rpc_method_handler(refuse)


def _handler(method: Method) -> "grpc.RpcMethodHandler[Any, Any]":
    if method.has_many:
        return grpc.stream_stream_rpc_method_handler(_streaming(method), response_serializer=_serialize)
    return grpc.stream_unary_rpc_method_handler(_unary(method), response_serializer=_serialize)


def _unary(method: Method) -> Callable[[object, Context], Awaitable[Message]]:
    async def handle(_: object, context: Context) -> Message:
        reply = await method.reply(context)
        return await _abort(context, reply) if isinstance(reply, Refusal) else reply

    return handle


def _streaming(method: Method) -> Callable[[object, Context], AsyncIterator[Message]]:
    async def handle(_: object, context: Context) -> AsyncIterator[Message]:
        async with aclosing(method.replies(context)) as replies:
            async for reply in replies:
                if isinstance(reply, Refusal):
                    await _abort(context, reply)
                else:
                    yield reply
                    del reply

    return handle


async def _abort(context: Context, refusal: Refusal) -> Message:
    """Raises what ends the call."""
    return await context.abort(refusal.code, refusal.message, refusal.trailers)


def _serialize(message: Message) -> bytes:
    return message.SerializeToString()
