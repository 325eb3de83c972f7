"""Agents that hold jobs, and a server that expires the leases of silent ones."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from jobs.reports import Report, Reported
from jobs.services.accept import accept_jobs
from jobs.services.expire import EVERY, Expiry, expire_further, expire_leases
from jobs.services.report import report_jobs
from jobs.states import JobState
from tests.support.lives import replay, row
from tests.support.queue import counted, recounted, submitted

LEASE = timedelta(seconds=60)


class Watch:
    """Expires leases every few seconds, as servers do, by a clock that the test sets."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def until(self, then: datetime) -> Expiry:
        """What was expired up to then, and what the last run held back."""
        whole = Expiry()
        for part in self._looks(then):
            whole = Expiry(
                requeued=whole.requeued + part.requeued,
                cancelled=whole.cancelled + part.cancelled,
                lost=whole.lost + part.lost,
                held_back=part.held_back,
            )
        return whole

    def _looks(self, then: datetime) -> Iterator[Expiry]:
        while self.now < then:
            self.now = min(self.now + EVERY, then)
            part = expire_leases(now=self.now)
            while part:
                yield part
                part = expire_further(part, now=self.now) if part.more else None


def watching(now: datetime) -> Watch:
    """A server that has been running for long."""
    expire_leases(now=now)
    return Watch(now)


def held(member: Any, *, now: datetime, agent: str = "agent-1", **spec: Any) -> int:
    (job_id,) = submitted(member, now=now, **spec)
    accept_jobs(caller=member.puller, job_ids=[job_id], agent=agent, lease_seconds=int(LEASE.total_seconds()), now=now)
    return job_id


def tell(
    member: Any, job_id: int, state: JobState, *, now: datetime, attempt: int = 1, agent: str = "agent-1", **said: Any
) -> Reported:
    (result,) = report_jobs(
        caller=member.puller,
        agent=agent,
        reports=[Report(job_id=job_id, attempt=attempt, state=state, **said)],
        lease_seconds=int(LEASE.total_seconds()),
        now=now,
    )
    return result


def state_of(job_id: int) -> tuple[str, int]:
    """A job's state and attempt, which its events must confirm."""
    found = row(job_id)["state"], row(job_id)["attempt"]
    assert replay(job_id) == found
    assert counted() == recounted()
    return found
