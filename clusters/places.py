"""Places for calls that hold something of which a process has room for few."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from clusters.callers import Party
from rainbow.errors import LimitReached


class Places:
    """At most `most` in all, and `of_a_party` for one, so that none takes them all. Any thread may take one.

    `what` is what takes them, as in "files are being put".
    """

    def __init__(self, *, most: int, of_a_party: int, what: str, retry_after_seconds: int = 10) -> None:
        self._most = most
        self._of_a_party = of_a_party
        self._what = what
        self._retry_after_seconds = retry_after_seconds
        self._lock = Lock()
        self._taken: Counter[Party] = Counter()

    def check(self) -> None:
        """Raises LimitReached where all are taken."""
        with self._lock:
            self._check()

    @contextmanager
    def taken(self, party: Party) -> Iterator[None]:
        """Raises LimitReached."""
        self._take(party)
        try:
            yield
        finally:
            self._give_back(party)

    def refusal(self, where: str = "here") -> LimitReached:
        return LimitReached(f"so many {self._what} {where} already", retry_after_seconds=self._retry_after_seconds)

    def _take(self, party: Party) -> None:
        with self._lock:
            self._check()
            if self._taken[party] >= self._of_a_party:
                raise self.refusal(f"for this {party.kind}")
            self._taken[party] += 1

    def _check(self) -> None:
        if self._taken.total() >= self._most:
            raise self.refusal()

    def _give_back(self, party: Party) -> None:
        with self._lock:
            self._taken[party] -= 1
            if not self._taken[party]:
                del self._taken[party]
