"""How long a process has waited for an answer, less the time in which it stood still itself."""

from time import monotonic

LOOK_AT_LEAST_EVERY_SECONDS = 1.0


class Waited:
    """Counts the time between two looks as one second at most: in the rest the answer could not be seen."""

    def __init__(self) -> None:
        self._looked_at = monotonic()
        self._seconds = 0.0

    def look(self) -> float:
        """Returns the seconds waited so far."""
        now = monotonic()
        self._seconds += min(now - self._looked_at, LOOK_AT_LEAST_EVERY_SECONDS)
        self._looked_at = now
        return self._seconds
