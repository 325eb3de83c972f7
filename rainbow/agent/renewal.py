"""Reads the secret again when the server refuses it: it may have been rotated."""

from collections.abc import Callable
from datetime import datetime, timedelta

from rainbow.client import Client

# `rainbow rotate secret --save` writes the new value only after the server has ended the old one.
PATIENCE = timedelta(seconds=10)


class Renewal:
    """`read` returns the configured secret, empty where it cannot be read."""

    def __init__(self, client: Client, read: Callable[[], str], clock: Callable[[], datetime]) -> None:
        self._client = client
        self._read = read
        self._clock = clock
        self._refused_at: datetime | None = None
        self._answers_then = 0

    def is_worth_a_try(self) -> bool:
        """Whether to call again after a refusal: there is a new secret, or one may be on its way.

        A secret that the server never accepted is not waited for.
        """
        secret = self._read()
        if secret and self._client.use_secret(secret):
            return True
        return self._client.answers > 0 and self._clock() - self._first_refusal() < PATIENCE

    def _first_refusal(self) -> datetime:
        if self._refused_at is None or self._client.answers > self._answers_then:
            self._refused_at, self._answers_then = self._clock(), self._client.answers
        return self._refused_at
