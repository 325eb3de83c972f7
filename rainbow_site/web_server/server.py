"""One process of the web server: waitress's loop and threads on a socket shared with its siblings.

docs/decisions/0014-web-server.md has the reasons.
"""

import faulthandler
import logging
import resource
import socket
import ssl
import threading
import time
from typing import Any

from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.server import TcpWSGIServer
from waitress.task import ThreadedTaskDispatcher

from rainbow.telemetry.lines import Line, Quoted
from rainbow_site.process.certificate_watch import CertificateWatch
from rainbow_site.process.sockets import BACKLOG
from rainbow_site.web.rest.parsers import MAX_BODY_BYTES
from rainbow_site.web_server.answer import without_bodies_for_head
from rainbow_site.web_server.channel import Channel
from rainbow_site.web_server.metrics import CONNECTIONS
from rainbow_site.web_server.patience import Stage
from rainbow_site.web_server.request import MAX_HEAD_BYTES
from rainbow_site.web_server.tls import TlsChannel

# A waiting REST call occupies one (jobs/rest/long_poll.py).
THREADS = 8
MAX_CONNECTIONS = 1_000
# Unanswered requests and unsent responses of all connections of a process.
MAX_HELD_BYTES = 128 * 1024 * 1024
# Received between two counts.
_COUNT_EVERY_BYTES = MAX_BODY_BYTES
# Closing one that holds less would not help.
_SMALL_BYTES = 16 * 1024
GRACE_SECONDS = 30
# At a stop, for requests that are partly received.
_LAST_REQUESTS_SECONDS = 5
_PATROL_EVERY_SECONDS = 1
# A loop that stalls this long is broken.
_HANGS_AFTER_SECONDS = 30
# Descriptors other than client connections.
_RESERVED_FILES = 100
# The application itself refuses bodies that are slightly too large, with a problem document.
_ROOM_FOR_WORDS = 1024
_log = logging.getLogger("rainbow.http")


class WebServer(TcpWSGIServer):  # type: ignore[misc]  # (waitress has no types)
    active_channels: dict[int, Channel]

    def __init__(
        self, application: Any, listener: socket.socket, *, tls: CertificateWatch[ssl.SSLContext] | None = None
    ) -> None:
        self.tls = tls
        self.channel_class = TlsChannel if tls else Channel
        self._told = threading.Event()
        self._next_patrol = 0.0
        self._uncounted_bytes = 0
        # True while complete requests fill the memory: further bodies wait until some are answered.
        self.congested = False
        self._max_connections = _connections_that_fit()
        adjustments = _adjustments(listener, scheme="https" if tls else "http")
        threads = ThreadedTaskDispatcher()
        threads.set_thread_count(THREADS)
        place = (listener.family, listener.type, listener.proto, listener.getsockname())
        super().__init__(
            without_bodies_for_head(application),
            map={},
            _sock=listener,
            dispatcher=threads,
            adj=adjustments,
            sockinfo=place,
            bind_socket=False,
        )
        CONNECTIONS.set_function(lambda: len(self.active_channels))

    def stop(self) -> None:
        """Safe in a signal handler."""
        self._told.set()
        self.pull_trigger()

    def serve(self) -> None:
        """Serves until it is told to stop; then finishes requests under way, for GRACE_SECONDS at most."""
        while not self._told.is_set():
            self._step()
        self.accepting = False
        began = time.monotonic()
        while self.active_channels and time.monotonic() - began < GRACE_SECONDS:
            self._let_go(patience=_LAST_REQUESTS_SECONDS - (time.monotonic() - began))
            self._step()
        self.task_dispatcher.shutdown(timeout=1)
        faulthandler.cancel_dump_traceback_later()

    def note_received(self, count: int) -> None:
        self._uncounted_bytes += count

    # What waitress calls

    def readable(self) -> bool:
        return bool(self.accepting) and len(self.active_channels) < self._max_connections

    def handle_accept(self) -> None:
        try:
            accepted = self.accept()
            if accepted is None:
                return
            connection, address = accepted
            self.set_socket_options(connection)
            self.channel_class(self, connection, address, self.adj, map=self._map)
        except OSError as error:
            # The client may have disconnected.
            _log.debug(Line("a connection came to nothing", error=Quoted(error)))

    # The loop

    def _step(self) -> None:
        # Between two calls of poll(): what it reports of a descriptor is for the connection that had it then.
        self._make_room()
        wasyncore.loop(timeout=_PATROL_EVERY_SECONDS, use_poll=True, map=self._map, count=1)
        now = time.monotonic()
        if now >= self._next_patrol:
            self._next_patrol = now + _PATROL_EVERY_SECONDS
            faulthandler.dump_traceback_later(_HANGS_AFTER_SECONDS, exit=True)
            self._close_late(now)

    def _close_late(self, now: float) -> None:
        for channel in list(self.active_channels.values()):
            if channel.is_late(now):
                channel.handle_close()

    def _let_go(self, *, patience: float) -> None:
        """Closes idle connections."""
        for channel in list(self.active_channels.values()):
            channel.announce_end()
            done = channel.stage in (Stage.IDLE, Stage.HANDSHAKE)
            if done or (channel.stage in (Stage.HEAD, Stage.BODY) and patience <= 0):
                channel.handle_close()

    def _make_room(self) -> None:
        """At the limits, closes connections that wait for their clients, oldest first."""
        if len(self.active_channels) >= self._max_connections:
            for channel in self._kept_waiting()[:1]:
                channel.handle_close()
        if self.congested or self._uncounted_bytes > _COUNT_EVERY_BYTES:
            self._uncounted_bytes = 0
            self._free_memory()

    def _free_memory(self) -> None:
        held = {channel: channel.held_bytes for channel in self.active_channels.values()}
        too_many = sum(held.values()) - MAX_HELD_BYTES
        for channel in self._kept_waiting() if too_many > 0 else []:
            if held[channel] > _SMALL_BYTES:
                channel.handle_close()
                too_many -= held[channel]
            if too_many <= 0:
                break
        self.congested = too_many > 0

    def _kept_waiting(self) -> list[Channel]:
        now = time.monotonic()
        waiting = [channel for channel in self.active_channels.values() if channel.stage is not Stage.ANSWERING]
        for channel in waiting:
            channel.note(now)
        return sorted(waiting, key=lambda channel: channel.patience.since)


def _adjustments(listener: socket.socket, *, scheme: str) -> Adjustments:
    """https://docs.pylonsproject.org/projects/waitress/en/stable/arguments.html"""
    return Adjustments(
        sockets=[listener],
        threads=THREADS,
        backlog=BACKLOG,
        url_scheme=scheme,
        ident=None,
        max_request_header_size=MAX_HEAD_BYTES,
        max_request_body_size=MAX_BODY_BYTES + _ROOM_FOR_WORDS,
        # Bodies and responses stay in memory, which is bounded, so that a full disk refuses no job.
        inbuf_overflow=2 * MAX_BODY_BYTES,
        outbuf_overflow=2 * MAX_BODY_BYTES,
        # Django reads proxy headers, as RAINBOW_PROXIES says.
        clear_untrusted_proxy_headers=False,
        log_socket_errors=False,
    )


def _connections_that_fit() -> int:
    """The number of connections that fit the limit of open files, which is raised first."""
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_CONNECTIONS + _RESERVED_FILES
    files = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
    if now != resource.RLIM_INFINITY and now < files:
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, most))
    return max(1, files - _RESERVED_FILES)
