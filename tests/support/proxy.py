"""A proxy that can cut connections and lose answers."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from enum import Enum

from tests.support.listener import Listener, connect_to


class Weather(Enum):
    FAIR = "everything arrives"
    CUT = "nothing arrives, and connections break"
    DEAF = "requests arrive, answers do not"
    VOID = "nothing arrives, and no connection breaks"


# Sees what is carried, and whether it is an answer.
Tap = Callable[[bytes, bool], None]


class Proxy:
    def __init__(self, target: str, *, tap: Tap | None = None) -> None:
        self._target = target
        self._tap = tap
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self.weather = Weather.FAIR
        self.lost_bytes = 0
        self.connections = 0
        self._listener = Listener(self._serve)
        self.address = self._listener.address

    def cut(self) -> None:
        """Break all connections; new ones come to nothing until `mend`."""
        self.weather = Weather.CUT
        self._break_all()

    def deafen(self) -> None:
        self.weather = Weather.DEAF

    def swallow(self) -> None:
        """Swallow everything from now on, as a firewall does that has dropped a connection's state."""
        self.weather = Weather.VOID

    @property
    def is_connected(self) -> bool:
        with self._lock:
            return bool(self._open)

    def mend(self) -> None:
        """Carry everything again, on new connections."""
        self._break_all()
        self.weather = Weather.FAIR

    def close(self) -> None:
        self._listener.close()
        self._break_all()

    def _serve(self, client: socket.socket, number: int) -> None:
        if self.weather == Weather.CUT:
            return
        server = connect_to(self._target)
        with self._lock:
            self.connections += 1
            self._open |= {client, server}
        threading.Thread(target=self._carry, args=(server, client, True), daemon=True).start()
        self._carry(client, server, False)

    def _carry(self, source: socket.socket, sink: socket.socket, answers: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if self.weather == Weather.VOID or (answers and self.weather == Weather.DEAF):
                    self.lost_bytes += len(data)
                    continue
                if self._tap:
                    self._tap(data, answers)
                sink.sendall(data)
        self._break(source, sink)

    def _break_all(self) -> None:
        with self._lock:
            connections = list(self._open)
        self._break(*connections)

    def _break(self, *connections: socket.socket) -> None:
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        with self._lock:
            self._open -= set(connections)


@contextlib.contextmanager
def proxy_before(target: str, *, tap: Tap | None = None) -> Iterator[Proxy]:
    proxy = Proxy(target, tap=tap)
    yield proxy
    proxy.close()
