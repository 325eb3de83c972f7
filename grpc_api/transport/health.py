"""Health checking (https://grpc.io/docs/guides/health-checking/) that stores nothing of the names it is asked for."""

import asyncio
from collections.abc import AsyncIterator, Iterable

from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from grpc_api.rpcs.call import Call
from rainbow.errors import NotFound

# Of a process. Anybody may open one, and without a bound keep all calls of the server to themselves.
MAX_WATCHES = 100


class HealthChecks:
    """All services serve until the server stops. The empty name is the server itself."""

    def __init__(self, services: Iterable[str]) -> None:
        self._services = frozenset(["", *services])
        self._closing = asyncio.Event()
        # The oldest first.
        self._watches: dict[asyncio.Event, None] = {}

    def close(self) -> None:
        self._closing.set()
        for over in self._watches:
            over.set()

    async def Check(self, request: HealthCheckRequest, call: Call) -> HealthCheckResponse:
        if request.service not in self._services:
            raise NotFound("there is no such service", field="service")
        return self._of_all()

    async def Watch(self, request: HealthCheckRequest, call: Call) -> AsyncIterator[HealthCheckResponse]:
        """Until the server stops, or MAX_WATCHES later ones are under way: clients watch anew then."""
        known = request.service in self._services
        yield self._of_all() if known else HealthCheckResponse(status=HealthCheckResponse.SERVICE_UNKNOWN)
        if not self._closing.is_set():
            await self._watched()
            if known and self._closing.is_set():
                yield self._of_all()

    async def _watched(self) -> None:
        over = asyncio.Event()
        self._watches[over] = None
        if len(self._watches) > MAX_WATCHES:
            next(iter(self._watches)).set()
        try:
            await over.wait()
        finally:
            del self._watches[over]

    def _of_all(self) -> HealthCheckResponse:
        status = HealthCheckResponse.NOT_SERVING if self._closing.is_set() else HealthCheckResponse.SERVING
        return HealthCheckResponse(status=status)
