"""Health checking (https://grpc.io/docs/guides/health-checking/) that ends with the server."""

import asyncio
from typing import Any

from grpc_health.v1.health import aio
from grpc_health.v1.health_pb2 import HealthCheckRequest

# How long a watcher's last message may take.
_LAST_WORD_SECONDS = 0.2


class HealthChecks(aio.HealthServicer):
    """A watch has no end of its own: left alone, it would hold up a server that stops until its grace is over."""

    def __init__(self) -> None:
        super().__init__()
        self._watches: set[asyncio.Task[None]] = set()

    async def Watch(self, request: HealthCheckRequest, context: Any) -> None:
        watch = asyncio.create_task(super().Watch(request, context))
        self._watches.add(watch)
        try:
            await asyncio.wait({watch})
        finally:
            watch.cancel()
            self._watches.discard(watch)

    async def close(self) -> None:
        """Tells whoever watches that the server stops, and lets go of them."""
        await self.enter_graceful_shutdown()
        if self._watches:
            await asyncio.wait(self._watches, timeout=_LAST_WORD_SECONDS)
        for watch in self._watches:
            watch.cancel()
