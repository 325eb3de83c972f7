import asyncio
import logging
import socket
from typing import Any

from grpc_api.transport.asgi.application import Application
from grpc_api.transport.asgi.h2corn_config import configured, h2corn
from grpc_api.transport.listening import with_host
from grpc_api.transport.tls import Certificate, Pem
from rainbow_site.process.certificate_watch import STATE
from rainbow_site.process.sockets import CannotListen, address_of, listen

_FOLLOWS_EVERY_SECONDS = 1
# Clients that vanished: the kernel asks after 45 seconds of silence, and gives up after 15 more.
_KEEPALIVE = {socket.TCP_KEEPIDLE: 45, socket.TCP_KEEPINTVL: 5, socket.TCP_KEEPCNT: 3}
# What h2corn raises: of sockets and files, of its own state, and of certificates.
_ERRORS = (OSError, RuntimeError, ValueError)

_log = logging.getLogger("rainbow.grpc")


class H2cornListener:
    """An address, and the server of h2corn that accepts its connections.

    A server reads its certificate once, and ends when it cannot accept. Another takes its place then, on the same
    socket. After a renewal the one of before accepts no more, and tells its clients to connect again for further calls
    (GOAWAY); those in flight go on.
    """

    def __init__(
        self,
        address: str,
        application: Application,
        *,
        share_port: bool,
        certificate: Certificate | None,
        client_certificates: bool,
        log_as_json: bool,
    ) -> None:
        """Raises CannotListen."""
        self._application = application
        self._certificate = certificate
        self._client_certificates = client_certificates
        self._log_as_json = log_as_json
        self._pem: Pem | None = None
        self._said: set[str] = set()
        self._renewal_trouble = ""
        # Of each server, what ends with it. The last is the one that accepts.
        self._servers: dict[asyncio.Task[Exception | None], Any] = {}
        self._following: asyncio.Task[None] | None = None
        self._socket = listen(with_host(address), share_port=share_port, dual_stack=True)
        for option, value in _KEEPALIVE.items():
            self._socket.setsockopt(socket.IPPROTO_TCP, option, value)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self.address = address_of(self._socket)

    async def start(self) -> None:
        """Raises CannotListen."""
        try:
            serving = await self._serve()
        except _ERRORS as error:
            raise CannotListen(f"cannot serve at {self.address}: {error}") from None
        self._following = asyncio.create_task(self._follow(serving))

    def close(self) -> set["asyncio.Task[Exception | None]"]:
        """Accepts no more connections and calls. Gives what ends once the calls in flight have."""
        if self._following is not None:
            self._following.cancel()
        for server in self._servers.values():
            server.shutdown()
        # h2corn keeps it until its last connection has ended, and clients would wait in its queue till then.
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        return set(self._servers)

    async def _follow(self, serving: "asyncio.Task[Exception | None]") -> None:
        """Tries again until it succeeds."""
        while True:
            await asyncio.sleep(_FOLLOWS_EVERY_SECONDS)
            is_renewed = self._certificate is not None and self._certificate.current is not self._pem
            if serving.done():
                self._complain(f"h2corn no longer accepts at {self.address}: {serving.result()}")
            elif not is_renewed:
                continue
            try:
                serving = await self._replace(serving)
            except _ERRORS as error:
                self._complain(f"h2corn cannot serve anew at {self.address}: {error}")
                if is_renewed:
                    STATE.trouble = self._renewal_trouble = f"h2corn: {error}"
            else:
                self._said.clear()
                if STATE.trouble == self._renewal_trouble:
                    STATE.trouble = ""

    def _complain(self, words: str) -> None:
        """Once, until it serves again."""
        if words not in self._said:
            self._said.add(words)
            _log.error(words)

    async def _replace(self, serving: "asyncio.Task[Exception | None]") -> "asyncio.Task[Exception | None]":
        old = self._servers.get(serving)
        new = await self._serve()
        if old is not None:
            old.shutdown()
        return new

    async def _serve(self) -> "asyncio.Task[Exception | None]":
        """Gives what ends with the server, once it accepts."""
        pem = self._certificate.current if self._certificate else None
        options = {"client_certificates": self._client_certificates, "log_as_json": self._log_as_json}
        with configured(self._socket.fileno(), pem, **options) as config:
            server = h2corn().Server(self._application, config)
            serving = asyncio.create_task(_end_of(server))
            self._servers[serving] = server
            serving.add_done_callback(self._servers.pop)
            await server.wait_started()
        self._pem = pem
        return serving


async def _end_of(server: Any) -> Exception | None:
    """Serves; gives why it ended when that was not asked for."""
    try:
        await server.serve()
    except _ERRORS as error:
        return error
    return None
