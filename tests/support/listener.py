"""A TCP server on a free port of this machine, with a thread for each connection."""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress

# Gets each connection and its number, from 1. An OSError ends the connection alone.
Serve = Callable[[socket.socket, int], None]


class Listener:
    def __init__(self, serve: Serve) -> None:
        self._serve = serve
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"
        self.connections = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        # Else the thread would go on to accept, perhaps at a later server that is given the same descriptor.
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                link, _ = self._socket.accept()
                self.connections += 1
                threading.Thread(target=self._serve_one, args=(link, self.connections), daemon=True).start()

    def _serve_one(self, link: socket.socket, number: int) -> None:
        with suppress(OSError), link:
            self._serve(link, number)


def connect_to(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    return socket.create_connection((host, int(port)))
