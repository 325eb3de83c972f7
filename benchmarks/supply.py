"""Jobs that can be measured with once each, such as those that are accepted."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator

# More than a server uses up in a second.
_USED_A_SECOND = 20_000


class Supply:
    """Gives out the oldest first; `refill` makes more, if given."""

    def __init__(self, refill: Callable[[int], Iterable[int]] = lambda count: (), *, first: Iterable[int] = ()) -> None:
        self._refill = refill
        self._left = deque(first)

    def take(self, seconds: float, *, each: int) -> Iterator[list[int]]:
        """Enough for so many seconds, a call's worth at a time."""
        self._left.extend(self._refill(max(0, int(seconds * _USED_A_SECOND) - len(self._left))))
        return self._give_out(each)

    def _give_out(self, each: int) -> Iterator[list[int]]:
        while len(self._left) >= each:
            yield [self._left.popleft() for _ in range(each)]
