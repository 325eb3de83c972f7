"""waitress's channel, with client deadlines and one request at a time."""

import logging
import select
import socket
import ssl
import time
from contextlib import suppress
from typing import Any

from waitress.buffers import ReadOnlyFileBasedBuffer
from waitress.channel import HTTPChannel
from waitress.task import ErrorTask

from rainbow.telemetry.lines import Line, Quoted
from rainbow_site.web_server.answer import Answer
from rainbow_site.web_server.metrics import REFUSED
from rainbow_site.web_server.patience import Patience, Stage
from rainbow_site.web_server.request import Request

_NOT_YET = (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
# Linux alone tells when a client has shut down its half of the connection; everywhere a reset is told.
_SENDS_NO_MORE = getattr(select, "POLLRDHUP", 0)
_log = logging.getLogger("rainbow.http")


class Refusal(ErrorTask):  # type: ignore[misc]  # (waitress has no types)
    """Answers an invalid request, and logs a line."""

    def execute(self) -> None:
        error = self.request.error
        _log.info(Line("refused", peer=self.channel.addr[0], status=error.code, error=Quoted(error.body)))
        REFUSED.labels(str(error.code)).inc()
        self.channel.refuse()
        super().execute()


class Channel(HTTPChannel):  # type: ignore[misc]
    """The main thread reads, parses and closes; a worker thread answers, and may write while it holds outbuf_lock."""

    parser_class = Request
    task_class = Answer
    error_task_class = Refusal
    # The request being read, and the complete ones.
    request: Request | None
    requests: list[Request]
    # As SSLSocket.getpeercert() has it; None where the client presented none.
    peer_certificate: dict[str, Any] | None = None

    def __init__(self, *args: Any, **options: Any) -> None:
        self.patience = Patience(time.monotonic())
        self._began = 0
        self._rest = b""
        self._refused = self._leaving = False
        self._closes_when_flushed = self._ends = False
        super().__init__(*args, **options)

    @property
    def close_when_flushed(self) -> bool:
        return self._closes_when_flushed

    @close_when_flushed.setter
    def close_when_flushed(self, value: bool) -> None:
        """The main thread resets it on close. That no further request is read stays."""
        self._ends = self._ends or value
        self._closes_when_flushed = value

    @property
    def stage(self) -> Stage:
        if self._leaving:
            return Stage.LEAVING
        if self.total_outbufs_len:
            return Stage.SENDING
        if self.requests:
            return Stage.ANSWERING
        if self.request is None:
            return Stage.IDLE
        return Stage.BODY if self.request.headers_finished else Stage.HEAD

    @property
    def held_bytes(self) -> int:
        """An estimate."""
        partial = [] if self.request is None else [self.request]
        requests = sum(request.held_bytes for request in [*self.requests, *partial])
        answers = [buffer for buffer in self.outbufs if not isinstance(buffer, ReadOnlyFileBasedBuffer)]
        return requests + len(self._rest) + sum(len(answer) for answer in answers)

    def note(self, now: float) -> None:
        self.patience.note(self.stage, request=self._began, now=now)

    def is_late(self, now: float) -> bool:
        self.note(now)
        return bool(self.will_close) or self.patience.is_over(now)

    def check_client_disconnected(self) -> bool:
        """For the application, as `waitress.client_disconnected`: while it answers, the main thread reads nothing."""
        with self.outbuf_lock:
            return not self.connected or _has_hung_up(self.socket)

    def readable(self) -> bool:
        waits = self._rest or (self.server.congested and self.stage is Stage.BODY)
        return not waits and bool(super().readable())

    def handle_read(self) -> None:
        try:
            data = self.read_some()
        except _NOT_YET:
            return
        except OSError:
            data = b""
        if not data:
            self._refused = False
            self.handle_close()
        elif not self._leaving:
            self.patience.note_moved(len(data))
            self.received(data)
            self.server.note_received(len(data))

    def read_some(self) -> bytes:
        return self.socket.recv(self.adj.recv_bytes)  # type: ignore[no-any-return]

    def received(self, data: bytes) -> None:
        """Parses one request; the rest of the data waits until that is answered."""
        with self.requests_lock:
            if self.requests or self._rest:
                # A worker started the next request after poll() returned.
                self._rest += data
            else:
                self._parse(data)

    def _parse(self, data: bytes) -> None:
        if self._ends or self.will_close:
            data = b""
        while data and not self.requests:
            request = self._request_under_way()
            data = data[request.received(data) :]
            if not request.completed:
                self._ask_for_body(request)
                continue
            self.request, self.sent_continue = None, False
            # Empty lines before a request are allowed (RFC 9112, section 2.2).
            if not request.empty:
                self.requests.append(request)
                self.server.add_task(self)
        # Last, since nothing is read while it is not empty.
        self._rest = data

    def _request_under_way(self) -> Request:
        if self.request is None:
            self.request = self.parser_class(self.adj)
            self._began += 1
        return self.request

    def _ask_for_body(self, request: Request) -> None:
        if request.expect_continue and request.headers_finished and not self.sent_continue:
            self.send_continue()

    def service(self) -> None:
        super().service()
        with self.requests_lock:
            if self._rest and not self.requests:
                self._parse(self._rest)

    def send(self, data: bytes, do_close: bool = True) -> int:
        sent = self.write_some(data, do_close=do_close)
        self.patience.note_moved(sent)
        return sent

    def write_some(self, data: bytes, *, do_close: bool) -> int:
        return super().send(data, do_close)  # type: ignore[no-any-return]

    def announce_end(self) -> None:
        """Makes the response under way the connection's last."""
        for request in self.requests:
            request.headers["CONNECTION"] = "close"

    def refuse(self) -> None:
        """Lingers: a close while the client still sends would reset the connection before it reads the response."""
        self._refused = True

    def handle_close(self) -> None:
        if self._refused and self.connected:
            self._leave()
            return
        # Held by a writing worker: after the close the descriptor may belong to another connection.
        with self.outbuf_lock:
            super().handle_close()

    def _leave(self) -> None:
        self._refused, self._leaving = False, True
        self.will_close = self.close_when_flushed = False
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)


def _has_hung_up(connection: socket.socket) -> bool:
    """Whatever was sent before and is not read yet."""
    poll = select.poll()
    poll.register(connection, _SENDS_NO_MORE)
    return bool(poll.poll(0))
