"""What the commands have in common that serve HTTP on a socket which their parent holds."""

import signal
import socket
import ssl
from argparse import ArgumentParser
from collections.abc import Callable
from types import FrameType

from django.core.management.base import BaseCommand, CommandError

from rainbow_site.process.certificate_watch import CertificateWatch
from rainbow_site.web_server.server import WebServer

Tls = CertificateWatch[ssl.SSLContext] | None


class ListeningCommand(BaseCommand):
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--listener", type=int, required=True, help="the descriptor of the socket that listens")
        parser.add_argument("--database-file", default="", help="which file the database is (readiness.database_file)")


def listener_of(descriptor: int) -> socket.socket:
    """Raises CommandError."""
    try:
        return socket.socket(fileno=descriptor)
    except OSError:
        raise CommandError("--listener: there is no such socket; manage.py serve starts this command") from None


def stop_on_signals(server: WebServer, *, first: Callable[[], None] = lambda: None) -> None:
    """At SIGTERM and SIGINT calls `first`, then stops the server."""

    def stop(number: int, frame: FrameType | None) -> None:
        first()
        server.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
