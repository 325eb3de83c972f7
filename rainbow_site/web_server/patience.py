from enum import Enum, auto


class Stage(Enum):
    HANDSHAKE = auto()
    IDLE = auto()
    HEAD = auto()
    BODY = auto()
    ANSWERING = auto()
    SENDING = auto()
    LEAVING = auto()


# While the server answers, the client is not waited for.
SECONDS = {
    Stage.HANDSHAKE: 10,
    Stage.IDLE: 20,
    Stage.HEAD: 20,
    Stage.BODY: 20,
    Stage.SENDING: 20,
    Stage.LEAVING: 5,
}
# These get more time for the bytes moved; the others are absolute, so that trickled bytes do not extend them.
PACED = (Stage.BODY, Stage.SENDING)
SLOWEST_BYTES_PER_SECOND = 16 * 1024


class Patience:
    """A connection's deadline. It restarts with each stage and each request."""

    def __init__(self, now: float) -> None:
        self.since = now
        self._step = (Stage.IDLE, 0)
        self._moved_bytes = 0

    def note_moved(self, count: int) -> None:
        self._moved_bytes += count

    def note(self, stage: Stage, *, request: int, now: float) -> None:
        if self._step != (stage, request):
            self._step, self.since, self._moved_bytes = (stage, request), now, 0

    def is_over(self, now: float) -> bool:
        stage = self._step[0]
        if stage not in SECONDS:
            return False
        earned = self._moved_bytes / SLOWEST_BYTES_PER_SECOND if stage in PACED else 0
        return now - self.since > SECONDS[stage] + earned
