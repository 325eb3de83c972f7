"""How long somebody was waited for, by a process that may stand still meanwhile, as on a machine that stalls."""

from time import monotonic

LOOK_AT_LEAST_EVERY_SECONDS = 1.0


class Waited:
    """What lies between two looks counts as one second at most: in the rest the answer could not be seen."""

    def __init__(self) -> None:
        self._looked_at = monotonic()
        self._seconds = 0.0

    def look(self) -> float:
        """The seconds that were waited up to now."""
        now = monotonic()
        self._seconds += min(now - self._looked_at, LOOK_AT_LEAST_EVERY_SECONDS)
        self._looked_at = now
        return self._seconds
