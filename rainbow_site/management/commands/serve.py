"""manage.py serve: the gRPC server and the web server under one command."""

import logging
import secrets
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from rainbow.telemetry.uncaught import log_uncaught
from rainbow_site.process.certificates import configured_files
from rainbow_site.process.children import Child, run_together
from rainbow_site.process.metrics_server import MetricsServer, metrics_server
from rainbow_site.process.reach import check_reach, grpc_address
from rainbow_site.process.readiness import NotReady, database_file, ready_database
from rainbow_site.process.sockets import CannotListen, address_of, listen
from rainbow_site.settings import environment_with

_MANAGE = str(settings.BASE_DIR / "manage.py")
_log = logging.getLogger("rainbow.http")


class Command(BaseCommand):
    help = (
        "Serves rainbow: gRPC for agents and the command line, HTTP for the REST API and the admin. Both stop "
        "together, on SIGTERM, SIGINT, or when one of them ends. docs/configuration.md has the settings."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--address",
            help="host:port for gRPC (RAINBOW_ADDRESS; if neither is said [::]:50051, and with the development "
            "registration secret 127.0.0.1:50051)",
        )
        parser.add_argument(
            "--web",
            default=settings.RAINBOW_WEB_ADDRESS,
            help="host:port for HTTP (RAINBOW_WEB_ADDRESS; now %(default)s)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        log_uncaught()
        # What is done here, once, and not by the children.
        environment = environment_with(RAINBOW_SECRET_KEY=_secret_key(), RAINBOW_CLEANUP="", RAINBOW_METRICS_ADDRESS="")
        if settings.DEBUG:
            _log.warning(
                "RAINBOW_DEBUG is on: error pages show this server's code and settings; "
                "never use it on a server that others can reach"
            )
        try:
            configured_files().check()
            grpc, web = _checked_addresses(options["address"], options["web"])
            # Connections queue until the web server runs; the socket listens only once the database is ready.
            with ready_database(cleanup=settings.RAINBOW_CLEANUP), listen(web) as listener, metrics_server() as metrics:
                scheme = "https" if settings.RAINBOW_WEB_TLS else "http"
                _log.info("HTTP at %s://%s: /api/docs/, /admin/", scheme, address_of(listener))
                children = [_grpc(grpc, metrics), *_web(listener.fileno(), metrics), *metrics.children]
                sys.exit(run_together(children, environment=environment))
        except (NotReady, CannotListen) as error:
            raise CommandError(str(error)) from None


def _checked_addresses(address: str | None, web: str) -> tuple[str, str]:
    """The addresses of gRPC and HTTP. Raises CannotListen."""
    secret = settings.RAINBOW_REGISTRATION_SECRET
    grpc = grpc_address(address, registration_secret=secret)
    check_reach(grpc, registration_secret=secret, named="--address or RAINBOW_ADDRESS")
    check_reach(web, registration_secret=secret, named="--web or RAINBOW_WEB_ADDRESS")
    return grpc, web


def _grpc(address: str, metrics: MetricsServer) -> Child:
    words = ["grpcserver", "--address", address, "--database-file", database_file(), *metrics.options_of("grpc-1")]
    return Child(name="gRPC server", command=[sys.executable, _MANAGE, *words])


def _web(listener: int, metrics: MetricsServer) -> list[Child]:
    words = ["webworker", "--listener", str(listener), "--database-file", database_file()]
    command = [sys.executable, _MANAGE, *words]
    return [
        Child(
            name=f"web server {number}",
            command=[*command, *metrics.options_of(f"web-{number}")],
            files=[listener],
            restarts=True,
        )
        for number in range(1, settings.RAINBOW_WEB_WORKERS + 1)
    ]


def _secret_key() -> str:
    """The configured SECRET_KEY, else one that is generated once and stored beside the project."""
    if settings.RAINBOW_SECRET_KEY:
        return str(settings.RAINBOW_SECRET_KEY)
    file = Path(settings.BASE_DIR / "rainbow.key")
    try:
        if not file.exists():
            _write_once(file, secrets.token_urlsafe(48))
        return file.read_text()
    except OSError as error:
        raise CommandError(f"cannot keep a key in {file}: {error.strerror}; set RAINBOW_SECRET_KEY") from None


def _write_once(file: Path, text: str) -> None:
    """Readable by its owner only. If another process wrote it first, its content is kept."""
    draft = file.with_name(f"{file.name}.{secrets.token_hex(4)}")
    draft.touch(mode=0o600)
    try:
        draft.write_text(text)
        file.hardlink_to(draft)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
