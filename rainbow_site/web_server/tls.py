import socket
import ssl
from contextlib import suppress
from http import HTTPStatus
from typing import Any

from rainbow.certificates import no_password
from rainbow_site.process.certificates import TlsFiles
from rainbow_site.web_server.channel import Channel
from rainbow_site.web_server.patience import Stage

_NOT_YET = (ssl.SSLWantReadError, ssl.SSLWantWriteError)
# Answers plain HTTP in plain HTTP.
_SPEAK_TLS = (
    b"HTTP/1.1 %d %b\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: 38\r\n\r\n"
    b"this port speaks HTTPS: use https://\r\n" % (HTTPStatus.BAD_REQUEST, HTTPStatus.BAD_REQUEST.phrase.encode())
)
# The largest record: nothing stays buffered in OpenSSL, invisible to poll().
_RECORD_BYTES = 16 * 1024


def context_from(files: TlsFiles) -> ssl.SSLContext:
    """The files must be a pair (TlsFiles.check)."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(files.cert, files.key, password=no_password)
    if files.client_ca:
        context.load_verify_locations(files.client_ca)
        # A browser goes on without.
        context.verify_mode = ssl.CERT_OPTIONAL
    context.set_alpn_protocols(["http/1.1"])
    context.options |= ssl.OP_NO_RENEGOTIATION
    return context


class TlsChannel(Channel):
    """Handshakes are non-blocking, so that a slow client delays no other.

    OpenSSL's state is not thread-safe: hold outbuf_lock to use it.
    """

    def __init__(self, server: Any, sock: socket.socket, *args: Any, **options: Any) -> None:
        sock.setblocking(False)
        encrypted = server.tls.current.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        self._shaking_hands, self._wants_to_write = True, False
        super().__init__(server, encrypted, *args, **options)

    @property
    def stage(self) -> Stage:
        return Stage.HANDSHAKE if self._shaking_hands else super().stage

    def readable(self) -> bool:
        return not self._wants_to_write if self._shaking_hands else super().readable()

    def writable(self) -> bool:
        return self._wants_to_write if self._shaking_hands else bool(super().writable())

    def handle_read(self) -> None:
        if self._shaking_hands:
            self._shake_hands()
        else:
            super().handle_read()

    def handle_write(self) -> None:
        if self._shaking_hands:
            self._shake_hands()
        else:
            super().handle_write()

    def read_some(self) -> bytes:
        with self.outbuf_lock:
            return self.socket.recv(_RECORD_BYTES)  # type: ignore[no-any-return]

    def write_some(self, data: bytes, *, do_close: bool) -> int:
        try:
            return super().write_some(data, do_close=do_close)
        except _NOT_YET:
            return 0

    def handle_close(self) -> None:
        if self.connected and not self._shaking_hands:
            # close_notify, without waiting for the client's.
            with self.outbuf_lock, suppress(OSError, ValueError):
                self.socket.unwrap()
        super().handle_close()

    def _shake_hands(self) -> None:
        try:
            self.socket.do_handshake()
        except ssl.SSLWantReadError:
            self._wants_to_write = False
        except ssl.SSLWantWriteError:
            self._wants_to_write = True
        except OSError as error:
            self._shaking_hands = False
            if getattr(error, "reason", "") == "HTTP_REQUEST":
                self._ask_for_tls()
            self.handle_close()
        else:
            self._shaking_hands = False
            self.peer_certificate = self.socket.getpeercert() or None

    def _ask_for_tls(self) -> None:
        """Writes beneath the TLS layer."""
        self.refuse()
        with suppress(OSError):
            socket.socket.send(self.socket, _SPEAK_TLS)
