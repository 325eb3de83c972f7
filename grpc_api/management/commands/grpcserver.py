import asyncio
import logging
import os
import sys
from argparse import SUPPRESS, ArgumentParser, ArgumentTypeError
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import uvloop
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from grpc_api.later.methods import later_methods
from grpc_api.transport.server import H2CORN, ServerOptions, serve
from grpc_api.transport.tls import Certificate, pem_in
from rainbow.telemetry.uncaught import log_uncaught
from rainbow_site.process.certificate_watch import CertificateWatch
from rainbow_site.process.certificates import configured_files
from rainbow_site.process.children import Child, run_together
from rainbow_site.process.metrics_server import MetricsServer, metrics_server, socket_options
from rainbow_site.process.metrics_socket import publish_metrics
from rainbow_site.process.reach import check_reach, grpc_address, is_for_development
from rainbow_site.process.readiness import NotReady, database_file, expect_database_file, ready_database
from rainbow_site.process.sockets import CannotListen, reserve
from rainbow_site.process.threads import switch_threads_soon
from rainbow_site.process.tracing import exported_traces
from rainbow_site.settings import MAX_WORKERS, environment_with

_log = logging.getLogger("rainbow.grpc")


class Command(BaseCommand):
    help = "Serves rainbow over gRPC until SIGTERM or SIGINT. docs/configuration.md has the settings."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--address",
            help="host:port to listen on (RAINBOW_ADDRESS; default [::]:50051, or 127.0.0.1:50051 with the development "
            "registration secret)",
        )
        parser.add_argument(
            "--name",
            default=settings.RAINBOW_NAME,
            help="the server's name in its log (RAINBOW_NAME; now %(default)s)",
        )
        parser.add_argument(
            "--secret",
            metavar="VALUE",
            help="the registration secret; visible in the process list, so prefer "
            "RAINBOW_REGISTRATION_SECRET or --secret-file",
        )
        parser.add_argument(
            "--secret-file",
            type=Path,
            metavar="PATH",
            help="a file whose first line is the registration secret",
        )
        parser.add_argument(
            "--cleanup",
            action="store_true",
            default=settings.RAINBOW_CLEANUP,
            help="first delete the embedded database, unless a server uses it (RAINBOW_CLEANUP)",
        )

        parser.add_argument(
            "--workers",
            type=_workers,
            default=settings.RAINBOW_WORKERS,
            metavar="NUMBER",
            help="processes that share the port, 1 to 64 (RAINBOW_WORKERS; now %(default)s)",
        )
        parser.add_argument("--metrics-socket", type=Path, help=SUPPRESS)
        parser.add_argument("--share-port", action="store_true", help=SUPPRESS)
        parser.add_argument("--database-file", default="", help=SUPPRESS)

    def handle(self, *args: Any, **options: Any) -> None:
        log_uncaught()
        secret = _registration_secret(options["secret"], options["secret_file"])
        server = ServerOptions(
            address=grpc_address(options["address"], registration_secret=secret),
            name=options["name"],
            registration_secret=secret,
            batch=settings.RAINBOW_BATCH,
            calls=settings.RAINBOW_CALLS,
            retention_days=settings.RAINBOW_RETENTION_DAYS,
            share_port=options["share_port"],
            certificate=_certificate(),
            client_ca=bool(settings.RAINBOW_TLS_CLIENT_CA),
            client_address=settings.RAINBOW_TLS_CLIENT_ADDRESS,
            transport=settings.RAINBOW_TRANSPORT,
            log_as_json=settings.RAINBOW_LOG_FORMAT == "JSON",
            further=partial(later_methods, memory_graph=settings.RAINBOW_MEMORY_GRAPH),
        )
        _check_transport(server.transport)
        _log.info("starting %s", server.name)
        try:
            check_reach(server.address, registration_secret=secret, named="--address or RAINBOW_ADDRESS")
            if server.client_address:
                check_reach(server.client_address, registration_secret=secret, named="RAINBOW_TLS_CLIENT_ADDRESS")
            expect_database_file(options["database_file"])
            with ready_database(cleanup=options["cleanup"]) as description:
                _log.info("database: %s", description)
                if is_for_development(secret):
                    _log.warning(
                        "the development registration secret is in use: the server is for this machine only; "
                        "set RAINBOW_REGISTRATION_SECRET to serve others"
                    )
                with metrics_server() as metrics:
                    _run(server, options["workers"], metrics, options["metrics_socket"])
        except (NotReady, CannotListen) as error:
            raise CommandError(str(error)) from None


def _check_transport(name: str) -> None:
    if name == H2CORN and find_spec("h2corn") is None:
        raise CommandError("RAINBOW_TRANSPORT: needs h2corn: pip install --requirement requirements-h2corn.lock")


def _run(server: ServerOptions, workers: int, metrics: MetricsServer, metrics_socket: Path | None) -> None:
    """`metrics_socket` is given by a parent, which has the server of metrics then."""
    if server.share_port or (workers == 1 and not metrics.children):
        _serve(server, metrics_socket)
        return
    folder = metrics_socket.parent if metrics_socket else metrics.folder
    with reserve(server.address) as address, _reserved(server.client_address) as client_address:
        # Not in the children's arguments, which others can read in the process list.
        environment = environment_with(
            RAINBOW_REGISTRATION_SECRET=server.registration_secret,
            RAINBOW_TLS_CLIENT_ADDRESS=client_address,
            RAINBOW_CLEANUP="",
            RAINBOW_METRICS_ADDRESS="",
        )
        children = [_worker(address, server.name, number, folder) for number in range(1, workers + 1)]
        sys.exit(run_together([*children, *metrics.children], environment=environment))


def _reserved(address: str) -> AbstractContextManager[str]:
    return reserve(address) if address else nullcontext("")


def _serve(server: ServerOptions, metrics_socket: Path | None) -> None:
    if metrics_socket:
        publish_metrics(str(metrics_socket))
    switch_threads_soon()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        with exported_traces():
            all_ended = runner.run(serve(server))
        if not all_ended:
            # Python would wait for the threads and tasks that are left; the kernel releases all that they hold.
            logging.shutdown()
            os._exit(1)


def _certificate() -> Certificate | None:
    files = configured_files()
    return CertificateWatch(files, pem_in, log=_log) if files else None


def _worker(address: str, server: str, number: int, metrics_folder: Path | None) -> Child:
    name = f"{server}-{number}"
    words = ["grpcserver", "--address", address, "--name", name, "--share-port", "--database-file", database_file()]
    words += socket_options(metrics_folder, f"grpc-{number}")
    return Child(name=name, command=[sys.executable, str(settings.BASE_DIR / "manage.py"), *words])


def _workers(text: str) -> int:
    if text.isdecimal() and 1 <= int(text) <= MAX_WORKERS:
        return int(text)
    raise ArgumentTypeError(f"must be 1 to {MAX_WORKERS}, not {text}")


def _registration_secret(value: str | None, file: Path | None) -> str:
    if value and file:
        raise CommandError("give --secret or --secret-file, not both")
    if file is None:
        return value or settings.RAINBOW_REGISTRATION_SECRET
    try:
        lines = file.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"--secret-file: cannot read {file}: {error}") from None
    if not lines or not lines[0]:
        raise CommandError(f"--secret-file: the first line of {file} is empty")
    return lines[0]
