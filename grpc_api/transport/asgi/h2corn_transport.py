"""h2corn, an HTTP/2 server in Rust, as the transport (RAINBOW_TRANSPORT=h2corn)."""

import asyncio
import logging
from collections.abc import Iterable

from grpc_api.transport.asgi.application import Application
from grpc_api.transport.asgi.h2corn_listener import H2cornListener
from grpc_api.transport.listening import Listening

# For calls that were ended to say so, and connections to close.
_FAREWELL_SECONDS = 5

_log = logging.getLogger("rainbow.grpc")


class H2cornTransport:
    def __init__(self, listening: Listening, application: Application, *, log_as_json: bool) -> None:
        self._listening = listening
        self._application = application
        self._log_as_json = log_as_json
        self._listeners: list[H2cornListener] = []

    def listen(self) -> str:
        where = self._listening
        address = self._listen(where.address, client_certificates=where.client_ca and not where.client_address)
        if where.client_address:
            of_clients = self._listen(where.client_address, client_certificates=True)
            return f"{address}, and for clients with certificates at {of_clients}"
        return address

    async def start(self) -> None:
        for listener in self._listeners:
            await listener.start()

    async def stop(self) -> bool:
        serving = [task for listener in self._listeners for task in listener.close()]
        if await _have_ended(serving, self._listening.grace_seconds):
            return True
        self._application.end_calls()
        if await _have_ended(serving, _FAREWELL_SECONDS):
            return True
        _log.warning("connections are cut whose clients do not read their answers")
        return False

    def _listen(self, address: str, *, client_certificates: bool) -> str:
        where = self._listening
        listener = H2cornListener(
            address,
            self._application,
            share_port=where.share_port,
            certificate=where.certificate,
            client_certificates=client_certificates,
            log_as_json=self._log_as_json,
        )
        self._listeners.append(listener)
        return listener.address


async def _have_ended(tasks: Iterable["asyncio.Task[Exception | None]"], seconds: float) -> bool:
    left = [task for task in tasks if not task.done()]
    return not left or not (await asyncio.wait(left, timeout=seconds))[1]
