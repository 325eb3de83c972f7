"""grpcio as the transport."""

from collections.abc import Mapping

import grpc

from grpc_api.rpcs.messages import MESSAGE_LIMIT
from grpc_api.transport.calls import Method
from grpc_api.transport.handlers import Handlers
from grpc_api.transport.listening import Listening, with_host
from grpc_api.transport.tls import Certificate, credentials_from
from grpc_api.transport.unknown import UnknownCalls
from rainbow_site.process.sockets import CannotListen, check_address

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


class GrpcioTransport:
    def __init__(self, listening: Listening, methods: Mapping[str, Method], unknown: UnknownCalls) -> None:
        self._listening = listening
        # Not shared unless asked: a second server would start silently and take half of the calls.
        self._grpc = grpc.aio.server(options=[*OPTIONS, ("grpc.so_reuseport", int(listening.share_port))])
        self._grpc.add_generic_rpc_handlers([Handlers(methods, unknown)])

    def listen(self) -> str:
        where, certificate = self._listening, self._listening.certificate
        required = where.client_ca and not where.client_address
        address = _listen(self._grpc, where.address, certificate, of_clients_too=required)
        if where.client_address:
            of_clients = _listen(self._grpc, where.client_address, certificate, of_clients_too=True)
            return f"{address}, and for clients with certificates at {of_clients}"
        return address

    async def start(self) -> None:
        await self._grpc.start()

    async def stop(self) -> bool:
        await self._grpc.stop(self._listening.grace_seconds)
        return True


def _listen(server: grpc.aio.Server, address: str, certificate: Certificate | None, *, of_clients_too: bool) -> str:
    address = with_host(address)
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
