"""Places for calls that hold something of which a process has room for few."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from clusters.callers import Party
from rainbow.errors import LimitReached

_RETRY_AFTER_SECONDS = 10


class Places:
    """At most `most` in all, `of_a_party` for one. `what` is what takes them, as in "files are being put"."""

    def __init__(self, *, most: int, of_a_party: int, what: str) -> None:
        self._most = most
        self._of_a_party = of_a_party
        self._what = what
        self._taken: Counter[Party] = Counter()

    def check(self) -> None:
        """Raises LimitReached where all are taken."""
        if self._taken.total() >= self._most:
            raise self._refusal("here")

    @contextmanager
    def taken(self, party: Party) -> Iterator[None]:
        """Raises LimitReached."""
        self.check()
        if self._taken[party] >= self._of_a_party:
            raise self._refusal(f"for this {party.kind}")
        self._taken[party] += 1
        try:
            yield
        finally:
            self._taken[party] -= 1
            if not self._taken[party]:
                del self._taken[party]

    def _refusal(self, where: str) -> LimitReached:
        return LimitReached(f"so many {self._what} {where} already", retry_after_seconds=_RETRY_AFTER_SECONDS)
