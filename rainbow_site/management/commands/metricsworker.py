"""manage.py metricsworker: answers scrapes of a server's metrics; `serve` and `grpcserver` start it."""

import logging
import signal
import socket
import ssl
from argparse import ArgumentParser
from pathlib import Path
from types import FrameType
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from prometheus_client import CollectorRegistry

from rainbow_site.metrics.application import MetricsApplication
from rainbow_site.metrics.build import BuildInfo
from rainbow_site.metrics.database_disk import DatabaseDisk
from rainbow_site.metrics.fleet import FleetMetrics
from rainbow_site.metrics.gathering import ProcessMetrics
from rainbow_site.process.certificate_watch import CertificateWatch
from rainbow_site.process.certificates import configured_files
from rainbow_site.process.metrics_socket import publish_metrics
from rainbow_site.process.readiness import expect_database_file
from rainbow_site.web_server.server import WebServer
from rainbow_site.web_server.tls import context_from

_log = logging.getLogger("rainbow.http")


class Command(BaseCommand):
    help = "Answers scrapes of a server's metrics, on a socket that its parent holds. manage.py serve starts it."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--listener", type=int, required=True, help="the descriptor of the socket that listens")
        parser.add_argument("--folder", type=Path, required=True, help="where the other processes publish theirs")
        parser.add_argument("--database-file", default="", help="which file the database is (readiness.database_file)")

    def handle(self, *args: Any, **options: Any) -> None:
        expect_database_file(options["database_file"])
        registry = CollectorRegistry()
        for collector in (BuildInfo(), DatabaseDisk(), ProcessMetrics(options["folder"]), FleetMetrics()):
            registry.register(collector)
        # Its own as well.
        publish_metrics(str(options["folder"] / "metrics"))
        application = MetricsApplication(registry, token_file=settings.RAINBOW_METRICS_TOKEN_FILE)
        tls = _tls()
        server = WebServer(application, _listener(options["listener"]), tls=tls)

        def stop(number: int, frame: FrameType | None) -> None:
            server.stop()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)
        if tls:
            tls.start()
        server.serve()


def _listener(descriptor: int) -> socket.socket:
    try:
        return socket.socket(fileno=descriptor)
    except OSError:
        raise CommandError("--listener: there is no such socket; manage.py serve starts this command") from None


def _tls() -> CertificateWatch[ssl.SSLContext] | None:
    files = configured_files()
    return CertificateWatch(files, context_from, log=_log) if files else None
