"""Repeats calls while a server cannot be reached."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from rainbow.errors import RainbowError, Unavailable, Unreachable, Untouched

Answer = TypeVar("Answer")
# What a caller may set; longer ones are no deadlines to gRPC.
LONGEST_TIMEOUT_SECONDS = 86_400
# How long a server that has answered may be away.
PATIENCE_SECONDS = 300.0
# An attempt with less time than this would only say that it was too short, and no longer why the others failed.
SHORTEST_ATTEMPT_SECONDS = 0.1
# A stream that lived so long did not break for the same reason as the one before.
CALM_SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Retries:
    """Repeats a call that found no server, with exponential backoff, until its deadline, unless the failure lasts.

    A pause lasts between half of its length and all of it, at random, so that the clients of a server that comes back
    do not call at once. `on_pause` gets each failure that is followed by another attempt, and for how many seconds
    there are attempts.
    """

    first_pause_seconds: float = 0.1
    longest_pause_seconds: float = 2.0
    on_pause: Callable[[Unavailable, float], None] | None = None
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    jitter: Callable[[float, float], float] = random.uniform

    def run(
        self,
        attempt: Callable[[float], Answer],
        *,
        deadline_seconds: float,
        after: type[Unavailable] = Unavailable,
    ) -> Answer:
        """Call `attempt` with the seconds that are left, again after each failure of the type `after`.

        When the next pause would leave no time until the deadline, raises the last failure, or the last after which the
        server may have done what was asked. Every failure that is raised says so if any attempt left that open.
        """
        repetition = Repetition(self, deadline_seconds=deadline_seconds, after=after)
        while True:
            try:
                return attempt(repetition.left())
            except RainbowError as failure:
                pause = repetition.pause_after(failure)
            self.sleep(pause)

    def pause(self, longest: float, *, until: float, within: float, failure: Unavailable) -> float | None:
        """Half of `longest` seconds to all of it, and as long as the server wishes.

        None if it would leave no time for an attempt before `until`, or the failure lasts.
        """
        if isinstance(failure, Unreachable) and failure.lasts:
            return None
        wished = failure.pause_seconds if isinstance(failure, Untouched) else 0.0
        pause = wished + self.jitter(longest / 2, longest)
        if self.clock() + pause > until - SHORTEST_ATTEMPT_SECONDS:
            return None
        if self.on_pause is not None:
            self.on_pause(failure, within)
        return pause


class Repetition:
    """One call and its attempts, as `Retries.run` says; whoever makes them sleeps between them."""

    def __init__(self, retries: Retries, *, deadline_seconds: float, after: type[Unavailable]) -> None:
        self._retries = retries
        self._within = deadline_seconds
        self._end = retries.clock() + deadline_seconds
        self._after = after
        self._longest = retries.first_pause_seconds
        self._worst: RainbowError | None = None

    def left(self) -> float:
        """Seconds until the deadline."""
        return self._end - self._retries.clock()

    def pause_after(self, failure: RainbowError) -> float:
        """Seconds until the next attempt. Raises the failure if there is none."""
        self._worst = worst = worse(self._worst, failure)
        if not isinstance(failure, self._after):
            failure.may_be_done = worst.may_be_done
            raise failure
        pause = self._retries.pause(self._longest, until=self._end, within=self._within, failure=failure)
        if pause is None:
            raise worst from worst.__cause__
        self._longest = min(self._longest * 2, self._retries.longest_pause_seconds)
        return pause


def worse(before: RainbowError | None, failure: RainbowError) -> RainbowError:
    """The later one, unless only the earlier one leaves open whether the server did what was asked."""
    return before if before is not None and before.may_be_done and not failure.may_be_done else failure


class Patience:
    """How long streams that break are reopened: a given time at first, and 5 minutes after the first answer.

    The 5 minutes begin with the first failure, however long the stream was silent before. `renew` notes an answer.
    Pauses grow while streams break soon, even after an answer: a server that ends each stream at once is not flooded.
    """

    def __init__(self, retries: Retries, *, first_seconds: float) -> None:
        self._retries = retries
        self._pause = retries.first_pause_seconds
        self._within = first_seconds
        self._until: float | None = retries.clock() + first_seconds
        self._worst: RainbowError | None = None
        self._rested_at = retries.clock()

    def renew(self) -> None:
        self._worst = None
        self._within = PATIENCE_SECONDS
        self._until = None

    def rest(self, failure: Unavailable) -> None:
        """Sleep before the next attempt. When patience has run out, raises the worst failure since `renew`."""
        self._retries.sleep(self.pause_after(failure))
        self.rested()

    def wait(self, seconds: float) -> None:
        """Sleep before the next question, where all is well."""
        self._retries.sleep(seconds)

    def pause_after(self, failure: Unavailable) -> float:
        """Seconds until the next attempt, for who sleeps otherwise and calls `rested` then."""
        self._worst = worse(self._worst, failure)
        if self._retries.clock() - self._rested_at >= CALM_SECONDS:
            self._pause = self._retries.first_pause_seconds
        if self._until is None:
            self._until = self._retries.clock() + self._within
        pause = self._retries.pause(self._pause, until=self._until, within=self._within, failure=failure)
        if pause is None:
            raise self._worst from self._worst.__cause__
        return pause

    def rested(self) -> None:
        self._pause = min(self._pause * 2, self._retries.longest_pause_seconds)
        self._rested_at = self._retries.clock()
