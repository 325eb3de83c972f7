"""Calls of a library without time limits, each in a thread that is left behind if it is late."""

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import TypeVar

from rainbow.executors.commands import TIMEOUT_SECONDS
from rainbow.executors.executor import SchedulerSilent

# A scheduler that hangs for days would cost the agent thousands of threads.
MOST_LEFT_BEHIND = 4

Result = TypeVar("Result")
Answers = SimpleQueue[tuple[Result | None, BaseException | None]]


class TimedCalls:
    def __init__(self, scheduler: str, *, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self._scheduler = scheduler
        self._timeout_seconds = timeout_seconds
        self._left_behind: list[threading.Thread] = []

    def run(self, call: Callable[[], Result]) -> Result:
        """Raises SchedulerSilent for whatever the call raises, with that as its cause, and if it takes too long."""
        self._left_behind = [thread for thread in self._left_behind if thread.is_alive()]
        if len(self._left_behind) >= MOST_LEFT_BEHIND:
            raise SchedulerSilent(f"{self._scheduler} has not answered {MOST_LEFT_BEHIND} earlier calls yet")
        answers: Answers[Result] = SimpleQueue()
        thread = threading.Thread(target=_answer, args=(call, answers), daemon=True)
        thread.start()
        try:
            result, error = answers.get(timeout=self._timeout_seconds)
        except Empty as late:
            self._left_behind.append(thread)
            raise SchedulerSilent(
                f"{self._scheduler} did not answer within {self._timeout_seconds:g} seconds"
            ) from late
        if error:
            raise SchedulerSilent(f"{self._scheduler}: {error}") from error
        return result  # type: ignore[return-value]  # it is None only where the call returns None


def _answer(call: Callable[[], Result], answers: "Answers[Result]") -> None:
    try:
        answers.put((call(), None))
    except BaseException as error:  # whatever it is, the one who waits gets it
        answers.put((None, error))
