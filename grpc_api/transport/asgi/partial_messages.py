from grpc_api.transport.shedding import Overloaded

_MOST_BYTES = 64 * 1024 * 1024


class PartialMessages:
    """The bytes of messages whose end has not come, of all calls of a process: a connection may begin thousands."""

    def __init__(self, most_bytes: int = _MOST_BYTES) -> None:
        self.held = 0
        self._most = most_bytes

    def hold(self, size: int) -> None:
        """Raises Overloaded."""
        if self.held + size > self._most:
            raise Overloaded("the server holds as many unfinished requests as it can; try again later")
        self.held += size

    def let_go(self, size: int) -> None:
        self.held -= size
