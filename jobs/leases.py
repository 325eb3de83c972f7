"""How long an agent may stay silent about a job that it holds."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from clusters.validation import check_range

DEFAULT_SECONDS = 300
MIN_SECONDS = 10
MAX_SECONDS = 86_400
# When most clusters fall silent at once their leases stay in force for so long. All such holds begin within
# HOLD_AT_MOST of the first, and so end; the next may begin so long after the first.
HOLD_AT_MOST = timedelta(hours=1)
HOLD_AGAIN_AFTER = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    agent: str
    seconds: int
    began_at: datetime

    @property
    def expires_at(self) -> datetime:
        return self.began_at + timedelta(seconds=self.seconds)


def lease_from(*, agent: str, seconds: int, now: datetime) -> Lease:
    """A lease of this length; 0 means the default. Raises InvalidArgument."""
    if seconds:
        check_range(seconds, field="lease_seconds", lowest=MIN_SECONDS, highest=MAX_SECONDS)
    return Lease(agent=agent, seconds=seconds or DEFAULT_SECONDS, began_at=now)
