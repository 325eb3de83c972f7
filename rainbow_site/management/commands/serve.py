"""manage.py serve: the gRPC server and the web server under one command."""

import secrets
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from rainbow_site.children import run_together
from rainbow_site.settings import environment_with

_MANAGE = str(settings.BASE_DIR / "manage.py")


class Command(BaseCommand):
    help = (
        "Serves rainbow: gRPC for agents and the command line, HTTP for the REST API and the admin. Both stop "
        "together, on SIGTERM, SIGINT, or when one of them ends. docs/configuration.md has the settings."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--address",
            default=settings.RAINBOW_ADDRESS,
            help="host:port for gRPC (RAINBOW_ADDRESS; now %(default)s)",
        )
        parser.add_argument(
            "--web",
            default=settings.RAINBOW_WEB_ADDRESS,
            help="host:port for HTTP (RAINBOW_WEB_ADDRESS; now %(default)s)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        grpc = [sys.executable, _MANAGE, "grpcserver", "--address", options["address"]]
        web = [
            *(sys.executable, "-m", "gunicorn", "rainbow_site.wsgi"),
            *("--bind", options["web"]),
            *("--workers", str(settings.RAINBOW_WEB_WORKERS), "--threads", "8"),
            # A control socket in the home folder is nothing that we use.
            *("--no-control-socket", "--graceful-timeout", "30", "--log-level", "warning"),
        ]
        self.stderr.write(f"HTTP at http://{options['web']}: /admin/, /api/docs/, /api/v1/")
        sys.exit(run_together([grpc, web], environment=environment_with(RAINBOW_SECRET_KEY=_secret_key())))


def _secret_key() -> str:
    """Django's key for sessions: the configured one, else one that is made once and kept beside the project."""
    if settings.RAINBOW_SECRET_KEY:
        return str(settings.RAINBOW_SECRET_KEY)
    file = Path(settings.BASE_DIR / "rainbow.key")
    if not file.exists():
        file.touch(mode=0o600)
        file.write_text(secrets.token_urlsafe(48))
    return file.read_text()
