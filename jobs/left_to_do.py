"""What a transaction left to be done, told to those in this process who do it as soon as it is committed.

They find by polling what other processes left.
"""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from enum import Enum

from django.db import transaction

Listener = Callable[[Collection[int]], None]


class Work(Enum):
    """Groups of which members came, ended or are to be tried again; jobs that others may wait for."""

    GROUPS = "groups"
    PARENTS = "parents"


_listeners: dict[Work, tuple[Listener, ...]] = dict.fromkeys(Work, ())


@contextmanager
def listening(work: Work, listener: Listener) -> Iterator[None]:
    """The listener gets ids, in whichever thread commits, and must not raise or block."""
    _listeners[work] = (*_listeners[work], listener)
    try:
        yield
    finally:
        _listeners[work] = tuple(one for one in _listeners[work] if one is not listener)


def tell_of_work_after_commit(work: Work, ids: Collection[int]) -> None:
    if not ids or not _listeners[work]:
        return

    # A function with a name, which Django needs to tell of a failure.
    def tell() -> None:
        tell_of_work(work, ids)

    transaction.on_commit(tell, robust=True)


def tell_of_work(work: Work, ids: Collection[int]) -> None:
    for listener in _listeners[work]:
        listener(ids)
