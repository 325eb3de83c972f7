"""One round of an agent's duties: one that fails is tried again in the next round, and the others are done."""

import logging
from collections.abc import Callable, Iterable

from rainbow.agent.journal_errors import JournalUnusable
from rainbow.agent.renewal import Renewal
from rainbow.client import Client
from rainbow.errors import (
    DeadlineExceeded,
    PermissionDenied,
    RainbowError,
    Unauthenticated,
    Unavailable,
    Unimplemented,
)
from rainbow.executors.executor import SchedulerSilent
from rainbow.telemetry.failures import named
from rainbow.telemetry.lines import Line

# Trying again does not help against these.
FATAL = (PermissionDenied, Unimplemented, JournalUnusable)

_log = logging.getLogger("rainbow.agent")


class Duty:
    """`do` says whether a job moved on. `asks_scheduler`: it is useless while the scheduler does not answer.

    `trouble` is why it failed last; it is logged once, and once when it is over.
    """

    def __init__(self, do: Callable[[], bool], *, asks_scheduler: bool = False) -> None:
        self.do = do
        self.asks_scheduler = asks_scheduler
        self.trouble = ""
        self._unanswered = -1

    def failed(self, trouble: str, *, request_id: str = "", unexpected: Exception | None = None) -> None:
        if trouble != self.trouble:
            _log.warning(Line(trouble, request_id=request_id), exc_info=unexpected)
        self.trouble = trouble

    def got_no_answer(self, answers: int) -> None:
        """The server had given so many answers when it did not answer this duty."""
        self._unanswered = answers

    def succeeded(self, answers: int) -> None:
        """A duty that had nothing to ask does not know whether the server is back: that takes another answer of it."""
        if self.trouble and answers > self._unanswered:
            _log.info("no longer: %s", self.trouble)
            self.trouble = ""


class Round:
    """Does the duties in their order. A silent scheduler is not asked twice in a round, nor is a server that refuses
    the secret.
    """

    def __init__(self, duties: Iterable[Duty], client: Client, renewal: Renewal) -> None:
        self._duties = tuple(duties)
        self._client = client
        self._renewal = renewal
        self._is_silent = False
        self._is_refused = False

    @property
    def troubles(self) -> int:
        return sum(bool(duty.trouble) for duty in self._duties)

    def has_trouble(self) -> bool:
        return self.troubles > 0

    def run(self) -> bool:
        """Whether any job moved on. Raises what trying again does not help against."""
        self._is_silent = self._is_refused = False
        moved = [self._done(duty) for duty in self._duties]
        return any(moved)

    def _done(self, duty: Duty) -> bool:
        if self._is_refused or (self._is_silent and duty.asks_scheduler):
            return False
        try:
            moved = duty.do()
        except FATAL:
            raise
        except Unauthenticated as refusal:
            self._refused(duty, refusal)
        except RainbowError as error:
            self._failed(duty, error)
        except Exception as error:
            # An error of our own, as in one job or in one answer of a scheduler: the others go on.
            duty.failed(named(error), unexpected=error)
        else:
            duty.succeeded(self._client.answers)
            return moved
        return False

    def _refused(self, duty: Duty, refusal: Unauthenticated) -> None:
        self._is_refused = True
        duty.got_no_answer(self._client.answers)
        if not self._renewal.is_worth_a_try():
            raise refusal
        duty.failed(f"{refusal}; reading the secret again")

    def _failed(self, duty: Duty, error: RainbowError) -> None:
        self._is_silent = self._is_silent or isinstance(error, SchedulerSilent)
        if isinstance(error, Unavailable | DeadlineExceeded):
            duty.got_no_answer(self._client.answers)
        duty.failed(str(error), request_id=error.request_id)
