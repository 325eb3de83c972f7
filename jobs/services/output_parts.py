"""Reads a part of what a job wrote, for transports that have no streams: it blocks until the agent has sent it."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from threading import BoundedSemaphore

from clusters.callers import Caller, Operator, Party
from clusters.places import Places
from jobs.models import Job
from jobs.queries.relays import chunks_of
from jobs.services.relays import NO_ANSWER, Opened, begin_relay, end_relay, taken
from jobs.states import FINAL, OutputSource
from jobs.waited import LOOK_AT_LEAST_EVERY_SECONDS, Waited
from rainbow.errors import FailedPrecondition, Unavailable

MOST_BYTES = 1024 * 1024
# Each occupies one of the process's few threads, also while it waits for its turn.
MOST_AT_ONCE, MOST_WAITING = 2, 1
FIRST_ANSWER_SECONDS, ALL_SECONDS = 5.0, 20.0
# Longer than those take whose agent is away.
TURN_SECONDS = 8.0
LOOK_EVERY_SECONDS = 0.03


class Readers:
    """`at_once` go on; as many as `waiting` wait until one of them is done, each for `seconds` at most."""

    def __init__(self, *, at_once: int, waiting: int, seconds: float) -> None:
        self._places = Places(
            most=at_once + waiting, of_a_party=at_once, what="outputs are read", retry_after_seconds=2
        )
        self._turns = BoundedSemaphore(at_once)
        self._seconds = seconds

    @contextmanager
    def admitted(self, party: Party) -> Iterator[None]:
        """Raises LimitReached."""
        with self._places.taken(party):
            if not self._has_its_turn():
                raise self._places.refusal()
            try:
                yield
            finally:
                self._turns.release()

    def _has_its_turn(self) -> bool:
        waited, left = Waited(), self._seconds
        while not self._turns.acquire(timeout=min(left, LOOK_AT_LEAST_EVERY_SECONDS)):
            left = self._seconds - waited.look()
            if left <= 0:
                return False
        return True


_READERS = Readers(at_once=MOST_AT_ONCE, waiting=MOST_WAITING, seconds=TURN_SECONDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """`more`: whether there is more of it by now, or may be later, since the job is not over."""

    offset: int
    data: bytes
    attempt: int
    more: bool

    @property
    def next(self) -> int:
        return self.offset + len(self.data)


def read_part(
    *,
    by: Caller | Operator,
    job_id: int,
    source: OutputSource,
    start: int,
    clock: Callable[[], datetime],
    has_gone: Callable[[], bool],
    most_bytes: int = MOST_BYTES,
    file: str = "",
) -> Part:
    """Up to `most_bytes` from that byte on; a `start` of less than 0 is from the end. The caller sees what jobs wrote.

    Raises as `begin_relay` does, FailedPrecondition where the site does not send it or the reader `has_gone`,
    LimitReached where so many are read already, and Unavailable.
    """
    with _READERS.admitted(by.party):
        # Before it is read: what is written later is there then.
        over = Job.objects.filter(id=job_id, state__in=FINAL).exists()
        opened = begin_relay(
            by=by, job_id=job_id, source=source, start=start, most_bytes=most_bytes, file=file, now=clock()
        )
        try:
            return _read(opened, over=over, most_bytes=most_bytes, has_gone=has_gone)
        finally:
            end_relay(relay=opened.id)


def _read(opened: Opened, *, over: bool, most_bytes: int, has_gone: Callable[[], bool]) -> Part:
    waited = Waited()
    data, offset, heard = b"", opened.start, False
    while True:
        found = chunks_of(opened.id)
        if found:
            taken(relay=opened.id, ids=[id for id, _ in found])
        for _, chunk in found:
            if chunk.error:
                raise FailedPrecondition(chunk.error)
            offset = offset if heard else chunk.offset
            heard, data = True, data + chunk.data
            if chunk.offset + len(chunk.data) != offset + len(data) or len(data) > most_bytes:
                raise Unavailable("the cluster's agent sent what was not wanted")
            if chunk.end:
                return Part(offset=offset, data=data, attempt=opened.attempt, more=not over or len(data) == most_bytes)
        seconds = waited.look()
        if seconds >= ALL_SECONDS or (seconds >= FIRST_ANSWER_SECONDS and not heard):
            raise FailedPrecondition(NO_ANSWER)
        if has_gone():
            raise FailedPrecondition("the reader has gone")
        time.sleep(LOOK_EVERY_SECONDS)
