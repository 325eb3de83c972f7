"""A server knows since when it can have heard its callers: that tells an outage from a busy hour."""

import asyncio
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import Error, InterfaceError, OperationalError

from grpc_api.runtime import lease_expiry
from grpc_api.runtime.lease_expiry import Presence, expire_leases_forever

SHORT, LONG = timedelta(seconds=0.2), timedelta(hours=1)


async def stand_still() -> None:
    """Nothing else runs meanwhile, as when the process is stopped or its machine sleeps."""
    time.sleep(3 * SHORT.total_seconds())


def test_a_server_that_waits_is_present(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease_expiry, "_TICK_SECONDS", 0.01)
    monkeypatch.setattr(lease_expiry, "OUTAGE", LONG)
    presence = Presence()
    since = presence.since

    asyncio.run(presence.during(asyncio.sleep(0.1)))

    assert presence.since == since


def test_a_server_that_stands_still_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease_expiry, "OUTAGE", SHORT)
    presence = Presence()
    since = presence.since

    asyncio.run(presence.during(stand_still()))

    assert presence.since >= since + 3 * SHORT


class ThreadPools:
    """A database that does not answer at the second look; the fourth ends the test."""

    def __init__(self, failure: Error) -> None:
        self.failure = failure
        self.told: list[datetime] = []

    async def write(self, work: Callable[[], Any]) -> None:
        self.told.append(work.keywords["present_since"])  # type: ignore[attr-defined]
        if len(self.told) == 2:
            raise self.failure
        if len(self.told) == 4:
            raise asyncio.CancelledError


@pytest.mark.parametrize("failure", [OperationalError("gone"), InterfaceError("connection already closed")])
def test_a_server_without_its_database_hears_nobody(monkeypatch: pytest.MonkeyPatch, failure: Error) -> None:
    monkeypatch.setattr(lease_expiry, "EVERY", timedelta(seconds=0.01))
    monkeypatch.setattr(lease_expiry, "OUTAGE", LONG)
    pools = ThreadPools(failure)

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(expire_leases_forever(pools))  # type: ignore[arg-type]

    first, second, third, fourth = pools.told
    assert first == second < third == fourth
