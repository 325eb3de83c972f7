"""Trying again while a server cannot be reached."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from rainbow.errors import Unavailable

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True, kw_only=True)
class Retries:
    """Repeats a call that found no server, with exponential pauses, until its deadline.

    A pause lasts between half of its length and all of it, at random, so that many clients of a server that
    comes back do not knock in step. `on_pause` hears of each failure that is followed by another attempt.
    """

    first_pause_seconds: float = 0.1
    longest_pause_seconds: float = 2.0
    on_pause: Callable[[Unavailable], None] | None = None
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

        Raises the last failure when the next pause would outlast the deadline.
        """
        end = self.clock() + deadline_seconds
        pause = self.first_pause_seconds
        while True:
            try:
                return attempt(end - self.clock())
            except after as failure:
                self.rest(pause, until=end, failure=failure)
            pause = min(pause * 2, self.longest_pause_seconds)

    def rest(self, longest: float, *, until: float, failure: Unavailable) -> None:
        """Sleep for half of `longest` seconds to all of it. Raises the failure if that would outlast `until`."""
        pause = self.jitter(longest / 2, longest)
        if self.clock() + pause >= until:
            raise failure
        if self.on_pause is not None:
            self.on_pause(failure)
        self.sleep(pause)
