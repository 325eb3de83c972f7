"""Real servers: `manage.py grpcserver` or `serve` in a process of its own."""

import os
import re
import signal
import ssl
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.support import processes
from tests.support.patience import PATIENCE_SECONDS, wait_until
from tests.support.ports import free_port

ROOT = Path(__file__).parents[2]
MANAGE = (sys.executable, str(ROOT / "manage.py"))
_CHANGED = """
import os, sys
sys.path[0] = {root!r}
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "rainbow_site.settings")
import django
django.setup()
from django.core.management import execute_from_command_line
{change}
execute_from_command_line(["manage.py", *sys.argv[1:]])
"""
REGISTRATION_SECRET = "for-the-tests-only"
# What `pytest --transport` says; empty for the default.
TRANSPORT = "TESTED_TRANSPORT"
# A setting that is empty is not set. Tests that need no second web process save the second that it takes to start.
DEFAULT_WEB_WORKERS = {"RAINBOW_WEB_WORKERS": ""}
# A server that is about to listen is asked again soon; gRPC would first wait a second.
IMPATIENT = [
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 50),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class RainbowServer:
    """A running server. `web` is the URL of its web server, empty without one.

    `ca_file` has the certificate to trust; empty without TLS. `client` are the files of a client certificate and its
    key, where the server requires one.
    """

    address: str
    web: str
    database_url: str
    registration_secret: str
    process: subprocess.Popen[bytes]
    log: Path
    ca_file: str = ""
    client: tuple[Path, Path] | None = None

    @property
    def trust(self) -> ssl.SSLContext | None:
        return ssl.create_default_context(cafile=self.ca_file) if self.ca_file else None

    def stop(self) -> int:
        """Send SIGTERM; returns the exit code."""
        processes.stop(self.process, gently=signal.SIGTERM)
        return self.process.returncode

    def log_with(self, *patterns: str) -> str:
        """The log, once these regular expressions are found in it: lines of calls are written after the answers."""
        wait_until(lambda: all(re.search(pattern, self.log.read_text()) for pattern in patterns))
        return self.log.read_text()

    def kill(self) -> None:
        """Send SIGKILL."""
        self.process.kill()
        self.process.wait()

    def web_processes(self) -> list[int]:
        return [pid for pid in processes.descendants(self.process.pid) if "webworker" in processes.command_of(pid)]

    def wait_until_serving(self) -> None:
        with self._channel() as channel:
            connected = grpc.channel_ready_future(channel)
            processes.wait_until(connected.done, process=self.process, log=self.log)
            health: Any = health_pb2_grpc.HealthStub(channel)  # whose published types lack its methods
            answer = health.Check(health_pb2.HealthCheckRequest(), timeout=PATIENCE_SECONDS)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
        if self.web:
            with urlopen(f"{self.web}/readyz", timeout=PATIENCE_SECONDS, context=self.trust) as ready:
                assert ready.status == HTTPStatus.OK

    def _channel(self) -> grpc.Channel:
        if not self.ca_file:
            return grpc.insecure_channel(self.address, options=IMPATIENT)
        cert, key = (file.read_bytes() for file in self.client) if self.client else (None, None)
        trust = grpc.ssl_channel_credentials(Path(self.ca_file).read_bytes(), key, cert)
        return grpc.secure_channel(self.address, trust, options=IMPATIENT)


def start_rainbow(
    *,
    database_url: str,
    log: Path,
    address: str = "",
    with_web: bool = False,
    arguments: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    manage: Sequence[str] = MANAGE,
    ca_file: str = "",
    client: tuple[Path, Path] | None = None,
) -> RainbowServer:
    """Start a server and return when it serves; an empty address means a free port of this machine.

    `ca_file` is the certificate itself if it is empty.
    """
    address = address or f"127.0.0.1:{free_port()}"
    web = f"127.0.0.1:{free_port()}" if with_web else ""
    settings = {"RAINBOW_REGISTRATION_SECRET": REGISTRATION_SECRET, **(environment or {})}
    if with_web:
        # Without a secret key `serve` keeps one of its own in the checkout.
        settings = {"RAINBOW_SECRET_KEY": "for-the-tests-only", "RAINBOW_WEB_WORKERS": "1", **settings}
    words = ["serve", "--web", web] if with_web else ["grpcserver"]
    command = [*manage, *words, "--address", address, *arguments]
    process = processes.start(command, log=log, environment=environment_for(database_url, **settings))
    ca_file = ca_file or settings.get("RAINBOW_TLS_CERT", "")
    server = RainbowServer(
        address=address,
        web=f"{'https' if ca_file and not settings.get('RAINBOW_PROXIES') else 'http'}://{web}" if web else "",
        database_url=database_url,
        registration_secret=settings["RAINBOW_REGISTRATION_SECRET"],
        process=process,
        log=log,
        ca_file=ca_file,
        client=client,
    )
    try:
        server.wait_until_serving()
    except BaseException:
        server.kill()
        raise
    return server


def manage_with(change: str) -> tuple[str, ...]:
    """`manage.py`, after this Python code has changed something in its process."""
    return (sys.executable, "-c", _CHANGED.format(root=str(ROOT), change=change))


def migrate(database_url: str, *, manage: Sequence[str] = MANAGE) -> None:
    subprocess.run(
        [*manage, "migrate", "--verbosity=0"], env=environment_for(database_url), check=True, timeout=PATIENCE_SECONDS
    )


def on_h2corn() -> bool:
    """Tests that differ by the transport ask; docs/transports.md has what differs."""
    return os.environ.get(TRANSPORT) == "h2corn"


def environment_for(database_url: str, **settings: str) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("RAINBOW_")}
    if transport := os.environ.get(TRANSPORT):
        settings = {"RAINBOW_TRANSPORT": transport, **settings}
    return {**inherited, "DATABASE_URL": database_url, **settings}
