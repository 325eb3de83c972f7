import asyncio
import gc
import logging
import signal
from dataclasses import dataclass
from functools import partial

import grpc

from grpc_api.rpcs.messages import MESSAGE_LIMIT
from grpc_api.rpcs.server_state import ServerState
from grpc_api.rpcs.servicer import RainbowServicer
from grpc_api.runtime.last_seen import LastSeenNotes
from grpc_api.runtime.lease_expiry import expire_leases_forever
from grpc_api.runtime.notifications import follow_notifications, jobs_wait, poll_waiting_queues
from grpc_api.runtime.queue_upkeep import keep_queues_forever
from grpc_api.runtime.retention import prune_forever
from grpc_api.runtime.thread_pools import ThreadPools
from grpc_api.runtime.wakeups import Wakeups
from grpc_api.runtime.withdrawals import follow_withdrawals
from grpc_api.transport.calls import SERVICE, MethodFactory
from grpc_api.transport.handlers import Handlers
from grpc_api.transport.health import HealthChecks
from grpc_api.transport.requests import Requests
from grpc_api.transport.shedding import Load
from grpc_api.transport.standard import standard_methods
from grpc_api.transport.tls import Certificate, credentials_from
from grpc_api.transport.unknown import UnknownCalls
from rainbow_site.process.sockets import CannotListen, check_address

# How long calls in flight may take to finish once the server is told to stop.
GRACE_SECONDS = 30

OPTIONS = [
    ("grpc.max_receive_message_length", MESSAGE_LIMIT),
    ("grpc.max_send_message_length", MESSAGE_LIMIT),
    # Clients ping to keep idle connections. gRPC takes three pings that come sooner than this for abuse and ends the
    # connection. The rainbow client pings every 30 seconds, and no client of grpc-go more often than every 10, which a
    # network may shorten.
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    # Calls that Python has not seen yet. From 1,000 on gRPC would cancel some without a message; once Python sees
    # them, they are refused with one.
    ("grpc.server.max_pending_requests", 5_000),
    ("grpc.server.max_pending_requests_hard_limit", 10_000),
    # A few kilobytes of gzip are 4 MiB once unpacked, 10 ms for each unauthenticated call: gRPC hands them over packed,
    # and Requests refuses them. What gRPC itself refuses, as it does deflate, is answered before Python has met the
    # call, so that calls pile up; gzip is what clients use.
    ("grpc.compression_enabled_algorithms_bitset", 1 << grpc.Compression.NoCompression | 1 << grpc.Compression.Gzip),
    ("grpc.per_message_decompression", 0),
    # A call that was reset at once (CVE-2023-44487) stays until Python has met it, and 16 connections made others wait
    # for 8 s behind thousands of them. With both, gRPC refuses further calls of a connection that has as many of them.
    # RFC 9113 advises against fewer than 100; a client keeps what it has beyond them until others have ended.
    ("grpc.max_concurrent_streams", 100),
    ("grpc.http2.max_deallocating_streams", 100),
    # Closes connections without a handshake, and idle ones.
    ("grpc.server_handshake_timeout_ms", 20_000),
    ("grpc.max_connection_idle_ms", 30 * 60_000),
    ("grpc.keepalive_permit_without_calls", 1),
    # The calls of a client that vanished would stay for two hours. The timer restarts with everything that a client
    # sends, so that one that pings every 30 seconds is never pinged. Proxies see that the connection is in use.
    ("grpc.keepalive_time_ms", 45_000),
    ("grpc.keepalive_timeout_ms", 15_000),
    ("grpc.http2.ping_timeout_ms", 15_000),
]
_LAST_PORT = 65_535
_log = logging.getLogger("rainbow.grpc")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerOptions:
    """`batch` is the most calls of one kind that share a commit; 1 switches that off.

    `calls` is the most calls at a time, those that wait included. Records of jobs that ended more than `retention_days`
    ago are deleted; 0 keeps them. `share_port` lets other processes listen at the address, too. Without `certificate`
    there is no TLS. With `client_ca` each client needs a certificate, or only those at `client_address` if given.
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


async def serve(options: ServerOptions) -> bool:
    """Serves until SIGTERM or SIGINT, then finishes the calls in flight. Raises CannotListen.

    False when threads still wait for a database that does not answer: they would keep the process from ending.
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
    _log.info("stopped" if all_ended else "stopped, without threads that still wait for the database")
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
        # Not shared unless asked: a second server would start silently and take half of the calls.
        self._grpc = grpc.aio.server(options=[*OPTIONS, ("grpc.so_reuseport", int(options.share_port))])
        self._grpc.add_generic_rpc_handlers([Handlers(methods, UnknownCalls())])
        self._background_tasks: list[asyncio.Task[None]] = []

    def listen(self) -> str:
        """Takes the addresses and gives them with their ports. Raises CannotListen."""
        options, certificate = self._options, self._options.certificate
        client_address = options.client_address
        required = options.client_ca and not client_address
        listening = _listen(self._grpc, options.address, certificate, of_clients_too=required)
        if client_address:
            where = _listen(self._grpc, client_address, certificate, of_clients_too=True)
            return f"{listening}, and for clients with certificates at {where}"
        return listening

    async def start(self) -> None:
        self._background_tasks = _start_background_tasks(
            self._pools, self._wakeups, retention_days=self._options.retention_days
        )
        # A full collection over what is there by now would stop every call for 30 ms, again and again.
        gc.collect()
        gc.freeze()
        await self._grpc.start()

    async def stop(self) -> bool:
        """Finishes the calls in flight, and says whether all threads have ended."""
        self._checks.close()
        self._wakeups.close()
        await self._grpc.stop(GRACE_SECONDS)
        for task in self._background_tasks:
            task.cancel()
        self._requests.close()
        return self._pools.close()


def _start_background_tasks(pools: ThreadPools, wakeups: Wakeups, *, retention_days: int) -> list[asyncio.Task[None]]:
    endless = (
        pools.watch(),
        follow_notifications(wakeups, pools),
        poll_waiting_queues(wakeups, pools),
        follow_withdrawals(wakeups, pools),
        expire_leases_forever(pools),
        keep_queues_forever(pools),
        prune_forever(pools, days=retention_days),
    )
    return [asyncio.create_task(work) for work in endless]


def _listen(server: grpc.aio.Server, address: str, certificate: Certificate | None, *, of_clients_too: bool) -> str:
    # In the original's form `:50051` means all addresses of the machine.
    address = f"[::]{address}" if address.startswith(":") else address
    try:
        _check_port(address)
        port = _add_port(server, address, certificate, of_clients_too=of_clients_too)
    except (RuntimeError, ValueError):
        # gRPC does not say why; a socket does.
        check_address(address)
        raise CannotListen(f"cannot listen on {address}") from None
    return f"{address.rpartition(':')[0]}:{port}"


def _check_port(address: str) -> None:
    """Raises ValueError; gRPC would take the lower 16 bits of any number."""
    port = address.rpartition(":")[2]
    if port.isdecimal() and int(port) > _LAST_PORT:
        raise ValueError


def _add_port(server: grpc.aio.Server, address: str, certificate: Certificate | None, *, of_clients_too: bool) -> int:
    if certificate is None:
        return server.add_insecure_port(address)
    return server.add_secure_port(address, credentials_from(certificate, of_clients_too=of_clients_too))


def _stop_on_signals() -> asyncio.Event:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop
