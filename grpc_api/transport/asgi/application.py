"""gRPC over an ASGI server that sends trailers in HTTP/2 (PROTOCOL-HTTP2)."""

import asyncio
from collections.abc import Mapping
from contextlib import aclosing
from http import HTTPStatus
from typing import Any

import grpc

from grpc_api.transport.asgi.connection import AsgiConnection, Receive, Scope, Send
from grpc_api.transport.asgi.partial_messages import PartialMessages
from grpc_api.transport.asgi.response import Response, refuse_http
from grpc_api.transport.calls import Method, Refusal
from grpc_api.transport.unknown import UnknownCalls

_STOPPING = Refusal(code=grpc.StatusCode.UNAVAILABLE, message="the server stops")


class Application:
    def __init__(self, methods: Mapping[str, Method], unknown: UnknownCalls) -> None:
        self._methods = methods
        self._unknown = unknown
        self._partial = PartialMessages()
        self._connections = set[AsgiConnection]()

    def end_calls(self) -> None:
        """Those under way, which clients may retry at a server that goes on."""
        for connection in self._connections:
            connection.end(_STOPPING)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if wrong := _why_no_call(scope):
            await refuse_http(send, wrong)
            return
        task: asyncio.Task[Any] | None = asyncio.current_task()
        assert task is not None  # a coroutine runs in one
        path, response = _path_in(scope), Response(send)
        method = self._methods.get(path)
        has_many_requests = method is not None and method.has_many_requests
        with AsgiConnection(scope, receive, task, self._partial, has_many_requests=has_many_requests) as connection:
            self._connections.add(connection)
            try:
                if method is None:
                    await response.end(self._unknown.refuse(path, connection))
                else:
                    await _answer(method, connection, response)
            except OSError:
                # `send` says so that the client is gone; the servicer's own never get here.
                return
            except asyncio.CancelledError:
                if not (connection.is_gone or connection.cut):
                    raise
                task.uncancel()
            finally:
                self._connections.discard(connection)
        if connection.cut and not (connection.is_gone or response.has_ended):
            await response.end(connection.cut)


async def _answer(method: Method, connection: AsgiConnection, response: Response) -> None:
    if method.has_many:
        await _answer_with_many(method, connection, response)
        return
    reply = await method.reply(connection)
    if isinstance(reply, Refusal):
        await response.end(reply)
    else:
        await response.message(reply)
        await response.end()


async def _answer_with_many(method: Method, connection: AsgiConnection, response: Response) -> None:
    async with aclosing(method.replies(connection)) as replies:
        async for reply in replies:
            if isinstance(reply, Refusal):
                await response.end(reply)
                return
            await response.message(reply)
            del reply
    await response.end()


def _path_in(scope: Scope) -> str:
    """As it was sent. Decoded, what a proxy does not let through by its path would have further names."""
    query = b"?" + scope["query_string"] if scope["query_string"] else b""
    return str((scope["raw_path"] + query).decode("latin-1"))


def _why_no_call(scope: Scope) -> HTTPStatus | None:
    if scope["type"] != "http" or scope["http_version"] != "2":
        return HTTPStatus.HTTP_VERSION_NOT_SUPPORTED
    if scope["method"] != "POST":
        return HTTPStatus.METHOD_NOT_ALLOWED
    if not _is_grpc(next((value for key, value in scope["headers"] if key == b"content-type"), b"")):
        return HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    if "http.response.trailers" not in scope["extensions"]:
        # It lacks `te: trailers`, which gRPC requires.
        return HTTPStatus.BAD_REQUEST
    return None


def _is_grpc(content_type: bytes) -> bool:
    kind = content_type.partition(b";")[0].strip().lower()
    return kind == b"application/grpc" or kind.startswith(b"application/grpc+")
