"""The header Idempotency-Key, as the IRI Facility API has it.

A job keeps the key that it was launched with, and what it was asked for: the same key and body get the answer that the
job itself gives. So what is repeated later needs no store; what is repeated at the same moment is refused here, or by
another process of the server waits in the database for the first, and gets its answer.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from rest_framework import status
from rest_framework.exceptions import APIException

from clusters.callers import Caller

_lock = threading.Lock()
_in_flight: set[tuple[int, int, str]] = set()


class InFlight(APIException):
    status_code = status.HTTP_409_CONFLICT
    default_detail = "a request with this Idempotency-Key is in flight; repeat it"
    # In seconds, for Retry-After.
    wait = 1


@contextmanager
def alone(by: Caller, key: str) -> Iterator[None]:
    """Raises InFlight while another request of this process has the caller's key for the same place.

    Does nothing without a key.
    """
    if not key:
        yield
        return
    mine = (by.person_id or -by.credential_id, by.cluster_id, key)
    with _lock:
        if mine in _in_flight:
            raise InFlight
        _in_flight.add(mine)
    try:
        yield
    finally:
        with _lock:
            _in_flight.discard(mine)
