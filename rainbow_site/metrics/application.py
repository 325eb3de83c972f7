"""The WSGI application behind RAINBOW_METRICS_ADDRESS: `/metrics`, and nothing else."""

import logging
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from rainbow.scrape_token import admits

PATH = "/metrics"
# Scrapes within this time share an answer, so that many cost no more than one.
_FRESH_SECONDS = 1.0
_PLAIN = "text/plain; charset=utf-8"
_log = logging.getLogger("rainbow.http")

StartResponse = Callable[[str, list[tuple[str, str]]], Any]


class MetricsApplication:
    """Without `token_file` all who connect may read."""

    def __init__(self, registry: CollectorRegistry, *, token_file: str) -> None:
        self._registry = registry
        self._token_file = token_file
        self._mutex = threading.Lock()
        self._text = b""
        self._written_at = float("-inf")

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        status, body, headers = self._answer(environ)
        kind = ("Content-Type", CONTENT_TYPE_LATEST if status.startswith("200") else _PLAIN)
        start_response(status, [kind, ("Content-Length", str(len(body))), ("Cache-Control", "no-store"), *headers])
        return [body]

    def _answer(self, environ: dict[str, Any]) -> tuple[str, bytes, list[tuple[str, str]]]:
        if not admits(environ.get("HTTP_AUTHORIZATION", ""), token_file=self._token_file, log=_log):
            return "401 Unauthorized", b"a bearer token is needed\n", [("WWW-Authenticate", "Bearer")]
        if environ["PATH_INFO"] != PATH:
            return "404 Not Found", b"there is only /metrics\n", []
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            return "405 Method Not Allowed", b"", [("Allow", "GET, HEAD")]
        return "200 OK", self._metrics(), []

    def _metrics(self) -> bytes:
        with self._mutex:
            if time.monotonic() - self._written_at >= _FRESH_SECONDS:
                self._text = generate_latest(self._registry)
                self._written_at = time.monotonic()
            return self._text
