"""The queue of writers over all processes of a machine."""

import fcntl
import os

from django.db import OperationalError

from rainbow_site.sqlite.locks import Claim, holder_of, open_lock


class Turn:
    """A connection's place in the queue: a lock file beside the database."""

    def __init__(self, path: str, *, patience_seconds: float) -> None:
        self._path = path
        self._patience_seconds = patience_seconds
        self._file: int | None = None
        self._claim: Claim | None = None

    def take(self) -> None:
        """Raises OperationalError after the timeout."""
        if self._file is None:
            self._file = self._opened()
        if self._claim is None or not self._claim.renew():
            self._claim = None if _is_taken(self._file) else Claim(self._file)
        if self._claim is None:
            return
        if not self._claim.is_granted_within(self._patience_seconds):
            holder = holder_of(self._file)
            raise OperationalError(f"{holder} has held {self._path} for {self._patience_seconds:g} seconds")
        self._claim = None

    def end(self) -> None:
        if self._file is not None and self._claim is None:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        if self._claim is not None:
            self._claim.drop()
            self._claim = None
        if self._file is not None:
            # Closing the file releases the lock.
            os.close(self._file)
            self._file = None

    def _opened(self) -> int:
        try:
            return open_lock(self._path)
        except OSError as error:
            raise OperationalError(f"cannot write {self._path}: {error.strerror}") from None


def _is_taken(file: int) -> bool:
    """Fast path without a thread, if no other writer holds the lock."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
