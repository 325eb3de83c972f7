"""The answer to a call: messages, and a status after them."""

from http import HTTPStatus

import grpc
from google.protobuf.message import Message

from grpc_api.transport.asgi.connection import Send
from grpc_api.transport.asgi.frames import frame
from grpc_api.transport.asgi.metadata import Headers, status
from grpc_api.transport.calls import Refusal

_HEADERS = [(b"content-type", b"application/grpc")]
_OK = status(grpc.StatusCode.OK)


class Response:
    """Its methods raise OSError when the client is gone."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._has_begun = False
        self.has_ended = False

    async def message(self, message: Message) -> None:
        await self._begin()
        await self._send({"type": "http.response.body", "body": frame(message.SerializeToString()), "more_body": True})

    async def end(self, refusal: Refusal | None = None) -> None:
        await self._begin()
        self.has_ended = True
        trailers = _OK if refusal is None else status(refusal.code, refusal.message, refusal.trailers)
        await self._send({"type": "http.response.body"})
        await self._send({"type": "http.response.trailers", "headers": trailers})

    async def _begin(self) -> None:
        if not self._has_begun:
            self._has_begun = True
            await self._send(
                {"type": "http.response.start", "status": HTTPStatus.OK, "headers": _HEADERS, "trailers": True}
            )


async def refuse_http(send: Send, code: HTTPStatus) -> None:
    """Of a request that is no call."""
    headers: Headers = [(b"content-length", b"0")]
    await send({"type": "http.response.start", "status": code, "headers": headers})
    await send({"type": "http.response.body"})
