"""Two transactions at once, in the order that a test wants."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction

from tests.support.patience import PATIENCE_SECONDS

# What waits for the other is not done by then.
_A_MOMENT_SECONDS = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Race:
    """The two results. `waited` says whether the second was blocked until the first committed."""

    first: Any
    second: Any
    waited: bool


def race(first: Callable[[], Any], second: Callable[[], Any], *, waits: bool = True) -> Race:
    """Runs `second` while the transaction of `first` has done its work and is not committed yet.

    On SQLite the second waits to begin; on PostgreSQL it begins, and waits when it comes to what both want. One that
    is not expected to wait (`waits`) gets the time that it takes on a slow machine.
    """
    done, commit = threading.Event(), threading.Event()
    with ThreadPoolExecutor(2) as pool:
        one = pool.submit(_attended, lambda: _in_transaction(first, done, commit))
        one.add_done_callback(lambda _: done.set())
        assert done.wait(PATIENCE_SECONDS)
        two = pool.submit(_attended, second)
        waited = not wait([two], timeout=_A_MOMENT_SECONDS if waits else PATIENCE_SECONDS).done
        commit.set()
        return Race(first=one.result(PATIENCE_SECONDS), second=two.result(PATIENCE_SECONDS), waited=waited)


def _in_transaction(work: Callable[[], Any], done: threading.Event, commit: threading.Event) -> Any:
    with transaction.atomic():
        result = work()
        done.set()
        assert commit.wait(PATIENCE_SECONDS)
    return result


def _attended(work: Callable[[], Any]) -> Any:
    try:
        return work()
    finally:
        connection.close()
