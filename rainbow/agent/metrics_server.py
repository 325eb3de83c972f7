"""An agent's metrics over HTTP: the only place where an agent listens, and only when its operator asks for that."""

import logging
import re
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST

from rainbow.address import is_loopback, place
from rainbow.errors import InvalidArgument, why
from rainbow.scrape_token import admits, read_token

PATH = "/metrics"
# Scrapes at a time; further connections are closed.
MOST_AT_ONCE = 8
# However slowly a scraper sends and reads.
LONGEST_SECONDS = 10.0
_WITH_PORT = re.compile(r"(?:[^:]|\]):\d+$", re.ASCII)
_PLAIN = "text/plain; charset=utf-8"
_log = logging.getLogger("rainbow.agent")


class MetricsServer(ThreadingHTTPServer):
    """Answers in threads of its own with the text that `write` makes. Without `token_file` all who connect may read."""

    daemon_threads = True

    def __init__(self, address: str, write: Callable[[], bytes], *, token_file: str = "") -> None:
        """Raises InvalidArgument."""
        if not _WITH_PORT.search(address):
            raise InvalidArgument(f"must be HOST:PORT, not {address!r}", field="metrics_address")
        check_protection(address, token_file=token_file)
        self.write, self.token_file = write, token_file
        self._free = threading.BoundedSemaphore(MOST_AT_ONCE)
        host, port = place(address)
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            super().__init__((host, port), _Handler)
        except OSError as error:
            raise InvalidArgument(f"cannot listen on {address}: {why(error)}", field="metrics_address") from error

    def start(self) -> None:
        threading.Thread(target=self.serve_forever, name="metrics", daemon=True).start()

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except Exception:
            # No thread could be started.
            self._free.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        end = threading.Timer(LONGEST_SECONDS, _cut, [request])
        end.daemon = True
        try:
            end.start()
            super().process_request_thread(request, client_address)
        finally:
            end.cancel()
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        _log.debug("a scrape came to nothing", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    server: MetricsServer

    def do_GET(self) -> None:
        if not admits(self.headers.get("Authorization", ""), token_file=self.server.token_file, log=_log):
            self._answer(401, b"a bearer token is needed\n", ("WWW-Authenticate", "Bearer"))
        elif self.path != PATH:
            self._answer(404, b"there is only /metrics\n")
        else:
            self._answer(200, self.server.write(), kind=CONTENT_TYPE_LATEST)

    def version_string(self) -> str:
        return "rainbow"

    def log_message(self, format: str, *args: Any) -> None:
        """Scrapes come every few seconds."""

    def _answer(self, status: int, body: bytes, *headers: tuple[str, str], kind: str = _PLAIN) -> None:
        self.send_response(status)
        for name, value in (("Content-Type", kind), ("Content-Length", str(len(body))), *headers):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def check_protection(address: str, *, token_file: str) -> None:
    """Raises InvalidArgument if others could read the metrics without a token, or the token cannot be read."""
    if token_file:
        try:
            read_token(token_file)
        except (OSError, ValueError) as error:
            raise InvalidArgument(str(error), field="metrics_token_file") from error
    elif not is_loopback(address):
        raise InvalidArgument(
            f"others reach {address}: name a file with a token that scrapes have to present (--metrics-token-file), or "
            "listen on 127.0.0.1",
            field="metrics_address",
        )


def _cut(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
