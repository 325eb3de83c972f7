"""h2corn, an HTTP/2 server in Rust, as the transport (RAINBOW_TRANSPORT=h2corn)."""

import asyncio
import socket
from contextlib import suppress
from importlib import import_module
from typing import Any

from grpc_api.transport.asgi.application import Application
from grpc_api.transport.listening import Listening, with_host
from rainbow_site.process.sockets import address_of, listen

_STREAMS = 4_096
_HEADER_BYTES = 16 * 1024
_HEADERS = 100
# Bytes that a client may send before the call has read those of before.
_STREAM_WINDOW = 1024 * 1024
_CONNECTION_WINDOW = 4 * 1024 * 1024
_HANDSHAKE_SECONDS = 20
_IDLE_SECONDS = 30 * 60
# A client that does not read its answer keeps it in memory.
_STALL_SECONDS = 300
# Clients that vanished: the kernel asks after 45 seconds of silence, and gives up after 15 more.
_KEEPALIVE = {socket.TCP_KEEPIDLE: 45, socket.TCP_KEEPINTVL: 5, socket.TCP_KEEPCNT: 3}


class H2cornTransport:
    """Without TLS, which the settings refuse with it."""

    def __init__(self, listening: Listening, application: Application, *, log_as_json: bool) -> None:
        self._listening = listening
        self._application = application
        self._log_as_json = log_as_json
        self._listener: socket.socket | None = None
        self._server: Any = None
        self._serving: asyncio.Task[None] | None = None

    def listen(self) -> str:
        where = self._listening
        self._listener = listen(with_host(where.address), share_port=where.share_port, dual_stack=True)
        for option, value in _KEEPALIVE.items():
            self._listener.setsockopt(socket.IPPROTO_TCP, option, value)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        return address_of(self._listener)

    async def start(self) -> None:
        assert self._listener is not None  # see Transport for the order of the calls
        config = _config(self._listener.fileno(), self._listening.grace_seconds, log_as_json=self._log_as_json)
        self._server = _h2corn().Server(self._application, config)
        self._serving = asyncio.create_task(self._server.serve())
        await self._server.wait_started()

    async def stop(self) -> None:
        assert self._serving is not None
        self._server.shutdown()
        # It raises so when there were calls to cancel after the grace.
        with suppress(RuntimeError):
            await self._serving


def _h2corn() -> Any:
    """Few have it installed."""
    return import_module("h2corn")


def _config(listener: int, grace_seconds: int, *, log_as_json: bool) -> Any:
    policy = _h2corn().RequestPolicy(
        path="/*",
        # A stream of submissions has no end. Each message has its limit, and its time.
        max_request_body_size=0,
        timeout_request_body_idle=0,
        h2_timeout_response_stall=_STALL_SECONDS,
    )
    return _h2corn().Config(
        bind=(f"fd://{listener}",),
        grpc=True,
        http1=False,
        lifespan="off",
        runtime_threads=1,
        access_log=False,
        log_format="json" if log_as_json else "text",
        date_header=False,
        max_concurrent_streams=_STREAMS,
        limit_request_fields=_HEADERS,
        h2_max_header_list_size=_HEADER_BYTES,
        h2_max_header_block_size=_HEADER_BYTES,
        h2_initial_stream_window_size=_STREAM_WINDOW,
        h2_initial_connection_window_size=_CONNECTION_WINDOW,
        request_policies=(policy,),
        timeout_handshake=_HANDSHAKE_SECONDS,
        timeout_keep_alive=_IDLE_SECONDS,
        timeout_graceful_shutdown=grace_seconds,
    )
