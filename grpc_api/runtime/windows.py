"""The chunks of outputs that are under way within this process, a few of each reader."""

from collections import deque
from dataclasses import dataclass, field

from grpc_api.runtime.wakeups import Wakeups
from jobs.notify import RelayId
from jobs.queries.relays import WINDOW, Chunk


@dataclass(slots=True, kw_only=True)
class Window:
    chunks: deque[Chunk] = field(default_factory=deque)


class Windows:
    """Those of the readers that are connected to this process. Not thread-safe: for the event loop alone."""

    def __init__(self, wakeups: Wakeups) -> None:
        self._wakeups = wakeups
        self._windows: dict[str, Window] = {}

    def __contains__(self, relay: str) -> bool:
        return relay in self._windows

    def open(self, relay: str) -> None:
        self._windows[relay] = Window()

    def close(self, relay: str) -> None:
        del self._windows[relay]
        self._wake(relay)

    def put(self, relay: str, chunk: Chunk) -> bool | None:
        """False while there is no room, None where the reader is gone."""
        window = self._windows.get(relay)
        if window is None:
            return None
        if len(window.chunks) >= WINDOW:
            return False
        window.chunks.append(chunk)
        self._wake(relay)
        return True

    def take(self, relay: str) -> list[Chunk]:
        window = self._windows[relay]
        chunks = list(window.chunks)
        window.chunks.clear()
        if chunks:
            self._wake(relay)
        return chunks

    def _wake(self, relay: str) -> None:
        """Both ends wait for the same topic: one for chunks, the other for room."""
        self._wakeups.wake([RelayId(relay)])
