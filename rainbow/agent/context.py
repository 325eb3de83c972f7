"""Where an agent stands: whom it speaks to, and by what rules."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from rainbow import leases
from rainbow.agent.policy import Policy
from rainbow.client import Client
from rainbow.errors import InvalidArgument
from rainbow.executors.executor import Executor
from rainbow.offers import fault
from rainbow.specs import Work, check_work

# A job is reported at least this often: so soon the agent hears that it is to be stopped.
HEARTBEAT = timedelta(seconds=15)


class Checkpoint(StrEnum):
    """The moments of a job's way through the agent between which it may be killed, in their order."""

    OFFERED = "the server offered jobs"
    ACCEPTED = "the server gave them"
    ACCEPTED_NOTED = "the journal knows them"
    SUBMITTING_NOTED = "the journal knows that one is being handed over"
    ANNOUNCED = "the server knows that one is being handed over"
    SUBMITTED = "the scheduler has it"
    SUBMITTED_NOTED = "the journal knows its native id"
    SUBMITTED_REPORTED = "the server knows its native id"
    STARTED_NOTED = "the journal knows that it runs"
    STARTED_REPORTED = "the server knows that it runs"
    ENDED_NOTED = "the journal knows its end"
    ENDED_REPORTED = "the server knows its end"
    REPORTED_NOTED = "the journal knows that the server does"


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSettings:
    """How an agent goes about its work.

    `agent` is its name for the server, its own for ever. `lease_seconds`: how long it may be silent (rainbow.leases).
    `interval_seconds`: how often it looks at its jobs. `max_jobs`: how many it holds at most; 0 means no limit.
    `ahead`: how many may wait in the scheduler's own queue. `hold_after`: so many jobs of one token in a row that
    fail at once hold back the token's others; 0 means never.
    """

    agent: str
    lease_seconds: int = leases.DEFAULT_SECONDS
    interval_seconds: float = 1.0
    max_jobs: int = 0
    ahead: int = 0
    hold_after: int = 20

    @property
    def lease(self) -> timedelta:
        return timedelta(seconds=self.lease_seconds)

    @property
    def heartbeat(self) -> timedelta:
        return min(self.lease / 4, HEARTBEAT)


def utc_now() -> datetime:
    return datetime.now(UTC)


def ignore_checkpoint(moment: Checkpoint) -> None:
    """What happens at a checkpoint where nobody tests the agent: nothing."""


def no_secret() -> str:
    """Where there is none to be read again."""
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentContext:
    """`read_secret` returns the secret as it is configured by now, empty where that cannot be read."""

    client: Client
    executor: Executor
    settings: AgentSettings
    policy: Policy = field(default_factory=Policy)
    clock: Callable[[], datetime] = utc_now
    checkpoint: Callable[[Checkpoint], None] = ignore_checkpoint
    read_secret: Callable[[], str] = no_secret

    def refusal(self, work: Work) -> str:
        """Why this work will never run here: by the protocol, by the site's policy, or for its size. Empty: it may.

        The policy sees nothing that breaks the protocol.
        """
        try:
            check_work(work)
        except InvalidArgument as error:
            return fault(error)
        return self.policy.check(work) or self.executor.never(work)
