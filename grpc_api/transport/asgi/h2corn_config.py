"""How h2corn is told to serve: its limits, its times, and its certificate."""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from grpc_api.transport.tls import Pem

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
# A server whose certificate was renewed goes on until its last call has ended; at a stop H2cornTransport ends calls.
_DRAIN_SECONDS = 30 * 24 * 3600
# Files of the process that are no connections: those of databases, logs and the event loop.
_OTHER_FILES = 200
_FEWEST_CONNECTIONS = 16
_MOST_CONNECTIONS = 65_536


def h2corn() -> Any:
    """Few have it installed. Its banner is no line of log, least of all one in JSON, and is left out."""
    lib: Any = import_module("h2corn._lib")
    lib.emit_banner = _say_nothing
    return import_module("h2corn")


def _say_nothing(*about: object) -> None:
    pass


@contextmanager
def configured(listener: int, pem: Pem | None, *, client_certificates: bool, log_as_json: bool) -> Iterator[Any]:
    """The configuration of a server for this socket, to be started within."""
    with _tls_of(pem, client_certificates=client_certificates) as tls:
        yield h2corn().Config(
            bind=(f"fd://{listener}",),
            grpc=True,
            http1=False,
            lifespan="off",
            runtime_threads=1,
            access_log=False,
            log_format="json" if log_as_json else "text",
            date_header=False,
            max_concurrent_streams=_STREAMS,
            limit_connections=_most_connections(),
            limit_request_fields=_HEADERS,
            h2_max_header_list_size=_HEADER_BYTES,
            h2_max_header_block_size=_HEADER_BYTES,
            h2_initial_stream_window_size=_STREAM_WINDOW,
            h2_initial_connection_window_size=_CONNECTION_WINDOW,
            request_policies=(_request_policy(),),
            timeout_handshake=_HANDSHAKE_SECONDS,
            timeout_keep_alive=_IDLE_SECONDS,
            timeout_graceful_shutdown=_DRAIN_SECONDS,
            **tls,
        )


def _request_policy() -> Any:
    return h2corn().RequestPolicy(
        path="/*",
        # A stream of submissions has no end. Each message has its limit, and its time.
        max_request_body_size=0,
        timeout_request_body_idle=0,
        h2_timeout_response_stall=_STALL_SECONDS,
    )


def _most_connections() -> int:
    """Further ones wait. h2corn stops serving when it cannot accept for want of files."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _MOST_CONNECTIONS if files == resource.RLIM_INFINITY else min(files - _OTHER_FILES, _MOST_CONNECTIONS)
    return max(most, _FEWEST_CONNECTIONS)


@contextmanager
def _tls_of(pem: Pem | None, *, client_certificates: bool) -> Iterator[dict[str, Any]]:
    if pem is None:
        yield {}
        return
    with _path_of(pem.cert) as cert, _path_of(pem.key) as key, _path_of(pem.client_ca) as authorities:
        of_clients = {"ca_certs": authorities, "cert_reqs": "required"} if client_certificates else {}
        yield {"certfile": cert, "keyfile": key, **of_clients}


@contextmanager
def _path_of(content: bytes) -> Iterator[str]:
    """h2corn takes only files: these are in memory, and are what was checked, also where those on disk change."""
    with os.fdopen(os.memfd_create("pem"), "wb") as file:
        file.write(content)
        file.flush()
        yield f"/proc/self/fd/{file.fileno()}"
