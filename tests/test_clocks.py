"""Servers whose clocks differ, on one PostgreSQL: the one that is ahead ends nothing that the others have begun."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from grpc_api.runtime import lease_expiry
from jobs.models import LeaseWatch
from jobs.queries.clocks import by_both_clocks
from jobs.services.expire import EVERY
from tests.support.leases import LEASE, held, state_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("postgresql_only")]

AHEAD = 2 * LEASE + timedelta(hours=2)


class Fast(datetime):
    """A clock that is ahead."""

    @classmethod
    def now(cls, tz: Any = None) -> datetime:
        return datetime.now(tz) + AHEAD


def test_a_server_that_is_ahead_ends_no_lease_of_the_others(alpha: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease_expiry, "datetime", Fast)
    present_since = Fast.now(UTC)
    lease_expiry.end_leases(present_since=present_since)
    job_id = held(alpha, now=datetime.now(UTC))
    LeaseWatch.objects.update(looked_at=LeaseWatch.objects.get().looked_at - EVERY)

    ended = lease_expiry.end_leases(present_since=present_since)

    assert ended is not None
    assert ended.jobs == 0
    assert state_of(job_id) == ("accepted", 1)


def test_of_both_clocks_the_one_that_is_behind_counts() -> None:
    behind = datetime.now(UTC) - AHEAD

    assert by_both_clocks(behind) == behind
    assert by_both_clocks(Fast.now(UTC)) < datetime.now(UTC) + LEASE
