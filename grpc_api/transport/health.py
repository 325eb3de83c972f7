"""Health checking (https://grpc.io/docs/guides/health-checking/) that stores nothing of the names it is asked for."""

import asyncio
from collections.abc import AsyncIterator, Iterable

from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from grpc_api.rpcs.call import Call
from rainbow.errors import NotFound


class HealthChecks:
    """All services serve until the server stops. The empty name is the server itself."""

    def __init__(self, services: Iterable[str]) -> None:
        self._services = frozenset(["", *services])
        self._closing = asyncio.Event()

    def close(self) -> None:
        self._closing.set()

    async def Check(self, request: HealthCheckRequest, call: Call) -> HealthCheckResponse:
        if request.service not in self._services:
            raise NotFound("there is no such service", field="service")
        return self._of_all()

    async def Watch(self, request: HealthCheckRequest, call: Call) -> AsyncIterator[HealthCheckResponse]:
        known = request.service in self._services
        yield self._of_all() if known else HealthCheckResponse(status=HealthCheckResponse.SERVICE_UNKNOWN)
        if not self._closing.is_set():
            await self._closing.wait()
            if known:
                yield self._of_all()

    def _of_all(self) -> HealthCheckResponse:
        stops = self._closing.is_set()
        return HealthCheckResponse(status=HealthCheckResponse.NOT_SERVING if stops else HealthCheckResponse.SERVING)
