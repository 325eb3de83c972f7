import asyncio
import gc
import logging
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib import import_module

from grpc_api.rpcs.server_state import ServerState
from grpc_api.rpcs.servicer import RainbowServicer
from grpc_api.runtime.background import Work, supervise
from grpc_api.runtime.group_steps import step_groups_forever
from grpc_api.runtime.last_seen import LastSeenNotes
from grpc_api.runtime.lease_expiry import expire_leases_forever
from grpc_api.runtime.notifications import follow_notifications, jobs_wait, poll_waiting_queues
from grpc_api.runtime.queue_upkeep import keep_queues_forever
from grpc_api.runtime.releases import release_forever
from grpc_api.runtime.retention import prune_forever
from grpc_api.runtime.thread_pools import ThreadPools
from grpc_api.runtime.wakeups import Wakeups
from grpc_api.runtime.webhooks import tell_webhooks_forever
from grpc_api.runtime.withdrawals import follow_withdrawals
from grpc_api.transport.calls import SERVICE, Method, MethodFactory
from grpc_api.transport.grpcio import GrpcioTransport
from grpc_api.transport.health import HealthChecks
from grpc_api.transport.listening import Listening, Transport
from grpc_api.transport.requests import Requests
from grpc_api.transport.shedding import Load
from grpc_api.transport.standard import standard_methods
from grpc_api.transport.tls import Certificate
from grpc_api.transport.unknown import UnknownCalls

GRPCIO, H2CORN = "grpcio", "h2corn"
# How long calls in flight may take to finish once the server is told to stop.
GRACE_SECONDS = 30

_log = logging.getLogger("rainbow.grpc")


FurtherMethods = Callable[[MethodFactory, RainbowServicer, ServerState, str], Mapping[str, Method]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerOptions:
    """`batch` is the most calls of one kind that share a commit; 1 switches that off.

    `calls` is the most calls at a time, those that wait included. Records of jobs that ended more than `retention_days`
    ago are deleted; 0 keeps them. `share_port` lets other processes listen at the address, too. Without `certificate`
    there is no TLS. With `client_ca` each client needs a certificate, or only those at `client_address` if given.
    `further` makes methods for further paths, or in place of those of RainbowScheduler.
    """

    address: str
    name: str
    registration_secret: str
    batch: int
    calls: int
    retention_days: int = 0
    share_port: bool = False
    certificate: Certificate | None = None
    client_ca: bool = False
    client_address: str = ""
    transport: str = GRPCIO
    log_as_json: bool = False
    further: FurtherMethods | None = None


async def serve(options: ServerOptions) -> bool:
    """Serves until SIGTERM or SIGINT, then finishes the calls in flight. Raises CannotListen.

    False when threads still wait for a database that does not answer, or clients take no answers: they would keep the
    event loop and the process from ending.
    """
    server = _Server(options)
    address = server.listen()
    stop = _stop_on_signals()
    await server.start()
    if options.certificate:
        options.certificate.start()
    _log.info("%s serves %s at %s", options.name, SERVICE.full_name, address)
    await stop.wait()
    _log.info("stopping; finishing the calls in flight")
    all_ended = await server.stop()
    _log.info("stopped" if all_ended else "stopped, without what still waits for the database or for clients")
    return all_ended


class _Server:
    def __init__(self, options: ServerOptions) -> None:
        self._options = options
        self._pools = ThreadPools()
        self._wakeups = Wakeups(partial(jobs_wait, self._pools))
        state = ServerState(pools=self._pools, wakeups=self._wakeups, last_seen=LastSeenNotes(self._pools))
        servicer = RainbowServicer(state, registration_secret=options.registration_secret, batch=options.batch)
        self._requests = Requests(admit=state.admit)
        self._checks = HealthChecks([SERVICE.full_name])
        factory = MethodFactory(load=Load(most_calls=options.calls), requests=self._requests)
        methods = factory.rainbow(servicer) | standard_methods(factory, self._checks)
        if options.further:
            methods |= options.further(factory, servicer, state, options.registration_secret)
        self._transport = _transport(options, methods)
        self._background_tasks: list[asyncio.Task[None]] = []

    def listen(self) -> str:
        """Takes the addresses and gives them with their ports. Raises CannotListen."""
        return self._transport.listen()

    async def start(self) -> None:
        self._background_tasks = _start_background_tasks(
            self._pools, self._wakeups, retention_days=self._options.retention_days
        )
        # A full collection over what is there by now would stop every call for 30 ms, again and again.
        gc.collect()
        gc.freeze()
        await self._transport.start()

    async def stop(self) -> bool:
        """Finishes the calls in flight, and says whether all threads and connections have ended."""
        self._checks.close()
        self._wakeups.close()
        connections_ended = await self._transport.stop()
        for task in self._background_tasks:
            task.cancel()
        self._requests.close()
        return self._pools.close() and connections_ended


def _transport(options: ServerOptions, methods: Mapping[str, Method]) -> Transport:
    listening = Listening(
        address=options.address,
        share_port=options.share_port,
        certificate=options.certificate,
        client_ca=options.client_ca,
        client_address=options.client_address,
        grace_seconds=GRACE_SECONDS,
    )
    if options.transport == H2CORN:
        # Loaded by those servers alone whose start has to wait for it.
        asgi = import_module("grpc_api.transport.asgi.h2corn_transport")
        application = asgi.Application(methods, UnknownCalls())
        transport: Transport = asgi.H2cornTransport(listening, application, log_as_json=options.log_as_json)
        return transport
    return GrpcioTransport(listening, methods, UnknownCalls())


def _start_background_tasks(pools: ThreadPools, wakeups: Wakeups, *, retention_days: int) -> list[asyncio.Task[None]]:
    works: Mapping[str, Work] = {
        "watching the database": pools.watch,
        "notifications": partial(follow_notifications, wakeups, pools),
        "polling queues": partial(poll_waiting_queues, wakeups, pools),
        "withdrawals": partial(follow_withdrawals, wakeups, pools),
        "leases": partial(expire_leases_forever, pools),
        "queues": partial(keep_queues_forever, pools),
        "groups": partial(step_groups_forever, pools),
        "releases": partial(release_forever, pools),
        "webhooks": partial(tell_webhooks_forever, pools),
        "retention": partial(prune_forever, pools, days=retention_days),
    }
    return [asyncio.create_task(supervise(name, work)) for name, work in works.items()]


def _stop_on_signals() -> asyncio.Event:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop
