"""Publishing a process's metrics on a Unix socket, for the process that answers scrapes."""

import logging
import socket
import threading
from pathlib import Path

from prometheus_client import GC_COLLECTOR, PLATFORM_COLLECTOR, REGISTRY, disable_created_metrics, generate_latest

from rainbow.telemetry.failures import told
from rainbow.telemetry.lines import Line, Quoted
from rainbow_site.process.certificate_metrics import CertificateMetrics
from rainbow_site.process.database_connections import DatabaseConnections
from rainbow_site.process.sockets import CannotListen

_PATIENCE_SECONDS = 5
_BACKLOG = 8
_log = logging.getLogger("rainbow")


def publish_metrics(path: str) -> None:
    """Writes the metrics to each connection, in a thread of its own: a stalled reader delays nothing else.

    Raises CannotListen.
    """
    # Timestamps of when a counter was made would double the number of series.
    disable_created_metrics()  # type: ignore[no-untyped-call]  # (it has no types)
    listener = socket.socket(socket.AF_UNIX)
    try:
        # An earlier process of this name left it.
        Path(path).unlink(missing_ok=True)
        listener.bind(path)
    except OSError as error:
        raise CannotListen(f"cannot publish metrics at {path}: {error}") from None
    listener.listen(_BACKLOG)
    # The same for all processes, or of no use to operators.
    for collector in (PLATFORM_COLLECTOR, GC_COLLECTOR):
        REGISTRY.unregister(collector)
    REGISTRY.register(DatabaseConnections())
    REGISTRY.register(CertificateMetrics())
    threading.Thread(target=_answer_forever, args=(listener,), name="metrics", daemon=True).start()


def _answer_forever(listener: socket.socket) -> None:
    while True:
        connection, _ = listener.accept()
        try:
            with connection:
                connection.settimeout(_PATIENCE_SECONDS)
                connection.sendall(generate_latest())
        # Of whatever kind: without this thread the process would look dead.
        except Exception as error:
            _log.warning(Line("could not publish metrics", error=Quoted(told(error))))
