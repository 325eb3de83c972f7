"""manage.py webworker: one process of the web server, which `manage.py serve` starts."""

import gc
import logging
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.urls import get_resolver

from jobs.rest.stopping import STOPPING
from rainbow.telemetry.uncaught import log_uncaught
from rainbow_site.management.listening import ListeningCommand, Tls, listener_of, stop_on_signals
from rainbow_site.process.certificate_watch import CertificateWatch
from rainbow_site.process.certificates import configured_files
from rainbow_site.process.metrics_socket import publish_metrics
from rainbow_site.process.readiness import expect_database_file
from rainbow_site.process.threads import switch_threads_soon
from rainbow_site.process.tracing import exported_traces
from rainbow_site.web_server.server import WebServer
from rainbow_site.web_server.tls import context_from
from rainbow_site.wsgi import application

_log = logging.getLogger("rainbow.http")


class Command(ListeningCommand):
    help = "One process of the web server, on a socket that its parent holds. manage.py serve starts these."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--metrics-socket", default="", help="where it publishes its metrics, if it shall")

    def handle(self, *args: Any, **options: Any) -> None:
        log_uncaught()
        expect_database_file(options["database_file"])
        if options["metrics_socket"]:
            publish_metrics(options["metrics_socket"])
        tls = _tls()
        server = WebServer(application, listener_of(options["listener"]), tls=tls)
        # Waiting calls return as soon as this process is told to stop.
        stop_on_signals(server, first=STOPPING.set)
        # Otherwise the first request would wait for this.
        get_resolver().url_patterns  # noqa: B018
        # A full garbage collection of these objects would stop all calls for 30 ms each time.
        gc.collect()
        gc.freeze()
        if tls:
            tls.start()
        _log.info("a process of the web server is ready")
        with exported_traces():
            switch_threads_soon()
            server.serve()


def _tls() -> Tls:
    if not settings.RAINBOW_WEB_TLS:
        return None
    return CertificateWatch(configured_files(), context_from, log=_log)
