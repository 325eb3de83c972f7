"""manage.py metricsworker: answers scrapes of a server's metrics; `serve` and `grpcserver` start it."""

import logging
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from prometheus_client import CollectorRegistry

from rainbow.telemetry.uncaught import log_uncaught
from rainbow_site.management.listening import ListeningCommand, Tls, listener_of, stop_on_signals
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


class Command(ListeningCommand):
    help = "Answers scrapes of a server's metrics, on a socket that its parent holds. manage.py serve starts it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--folder", type=Path, required=True, help="where the other processes publish theirs")

    def handle(self, *args: Any, **options: Any) -> None:
        log_uncaught()
        expect_database_file(options["database_file"])
        registry = CollectorRegistry()
        for collector in (BuildInfo(), DatabaseDisk(), ProcessMetrics(options["folder"]), FleetMetrics()):
            registry.register(collector)
        # Its own as well.
        publish_metrics(str(options["folder"] / "metrics"))
        application = MetricsApplication(registry, token_file=settings.RAINBOW_METRICS_TOKEN_FILE)
        tls = _tls()
        server = WebServer(application, listener_of(options["listener"]), tls=tls)
        stop_on_signals(server)
        if tls:
            tls.start()
        server.serve()


def _tls() -> Tls:
    files = configured_files()
    return CertificateWatch(files, context_from, log=_log) if files else None
