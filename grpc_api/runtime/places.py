"""Places for calls that hold something of which a process has room for few."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from rainbow.errors import LimitReached

_RETRY_AFTER_SECONDS = 10


class Places:
    """At most `most` in all, `of_a_credential` for one. `what` is what takes them, as in "files are being put"."""

    def __init__(self, *, most: int, of_a_credential: int, what: str) -> None:
        self._most = most
        self._of_a_credential = of_a_credential
        self._what = what
        self._taken: Counter[int] = Counter()

    def check(self) -> None:
        """Raises LimitReached where all are taken."""
        if self._taken.total() >= self._most:
            raise self._refusal("here")

    @contextmanager
    def taken(self, credential: int) -> Iterator[None]:
        """Raises LimitReached."""
        self.check()
        if self._taken[credential] >= self._of_a_credential:
            raise self._refusal("with this credential")
        self._taken[credential] += 1
        try:
            yield
        finally:
            self._taken[credential] -= 1
            if not self._taken[credential]:
                del self._taken[credential]

    def _refusal(self, where: str) -> LimitReached:
        return LimitReached(f"so many {self._what} {where} already", retry_after_seconds=_RETRY_AFTER_SECONDS)
