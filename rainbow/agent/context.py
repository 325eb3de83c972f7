"""What the parts of an agent share: client, executor, settings, policy, clock."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from rainbow import leases
from rainbow.agent.people import People
from rainbow.agent.policy import Policy
from rainbow.agent.required_signatures import RequiredSignatures
from rainbow.agent.site_secrets import SiteSecrets
from rainbow.agent.steady_clock import SteadyClock, utc_now
from rainbow.client import Client
from rainbow.errors import InvalidArgument
from rainbow.executors.executor import KEPT_OUTPUT_BYTES, Executor, NotTaken, WorkRefused
from rainbow.executors.site_options import at_cluster
from rainbow.facts import Value
from rainbow.offers import fault
from rainbow.specs import Work, check_work

# Each job is reported at least this often; the answer says whether to stop it.
HEARTBEAT = timedelta(seconds=15)
# How long files stay after the server knows the end, at least.
KEPT = timedelta(minutes=5)


class Checkpoint(StrEnum):
    """The points of a job's way between which the tests kill the agent, in their order."""

    OFFERED = "the server offered jobs"
    ACCEPTED = "the server gave them"
    ACCEPTED_NOTED = "the journal knows them"
    SUBMITTING_NOTED = "the journal knows that one is being handed over"
    ANNOUNCED = "the server knows that one is being handed over"
    SUBMITTED = "the scheduler has it"
    SUBMITTED_NOTED = "the journal knows its native id"
    SUBMITTED_REPORTED = "the server knows its native id"
    WITHDRAWN = "the scheduler was asked to withdraw it, since it has not started in time"
    STARTED_NOTED = "the journal knows that it runs"
    STARTED_REPORTED = "the server knows that it runs"
    ENDED_NOTED = "the journal knows its end"
    ENDED_REPORTED = "the server knows its end"
    REPORTED_NOTED = "the journal knows that the server does"


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSettings:
    """`agent` is its name on the server, which no other agent has. `lease_seconds`: how long it may be silent
    (rainbow.leases). `interval_seconds`: how often it polls its jobs. `max_jobs`: how many it holds at most; 0 is no
    limit. `ahead`: how many may wait in the scheduler's queue. `hold_after`: after so many jobs of one token in a row
    that fail at once, the server holds that token's others back; 0 is never. `only_mine`: it is a person's own, takes
    only the person's jobs, and says nothing of the cluster. `keep_output`: how long the files of jobs stay after the
    server knows their ends; `keep_output_bytes`: how much space they may take. `kept_output_bytes`: how much of one
    job's output is kept, besides its end.
    """

    agent: str
    lease_seconds: int = leases.DEFAULT_SECONDS
    interval_seconds: float = 1.0
    max_jobs: int = 0
    ahead: int = 0
    hold_after: int = 20
    only_mine: bool = False
    keep_output: timedelta = KEPT
    keep_output_bytes: int = 10 * 1024**3
    kept_output_bytes: int = KEPT_OUTPUT_BYTES

    @property
    def lease(self) -> timedelta:
        return timedelta(seconds=self.lease_seconds)

    @property
    def heartbeat(self) -> timedelta:
        return min(self.lease / 4, HEARTBEAT)


def ignore_checkpoint(moment: Checkpoint) -> None:
    """Outside of tests nothing happens at a checkpoint."""


def no_secret() -> str:
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentContext:
    """`clock` is for what is measured here, and never goes back; `wall_clock` for what others date, and for dates that
    outlive the process. `read_secret` reads the configured secret again; empty where it cannot be read. `site_facts`
    are what the site adds to those of its scheduler. `people`: as whom jobs run. `signatures`: only what is signed
    runs; None where that is not asked. `secrets`: those of the site, which jobs name.
    """

    client: Client
    executor: Executor
    settings: AgentSettings
    policy: Policy = field(default_factory=Policy)
    clock: Callable[[], datetime] = field(default_factory=lambda: SteadyClock().now)
    wall_clock: Callable[[], datetime] = utc_now
    checkpoint: Callable[[Checkpoint], None] = ignore_checkpoint
    read_secret: Callable[[], str] = no_secret
    site_facts: Mapping[str, Value] = field(default_factory=dict)
    people: People = field(default_factory=People)
    signatures: RequiredSignatures | None = None
    secrets: SiteSecrets = field(default_factory=SiteSecrets)

    def fault(self) -> str:
        """Why no job can be handed over for now, since whose it is cannot be judged; empty where it can."""
        return self.people.fault() or (self.signatures.fault() if self.signatures else "")

    @property
    def asks_whose(self) -> bool:
        """Whether it matters whose a job is. An offer does not say that."""
        return self.people.run_as_person or self.signatures is not None

    def refusal_of_offer(self, work: Work) -> str:
        """The same of an offer, which the client has checked, as far as that can be told before it is known whose."""
        here = at_cluster(work, self.client.cluster)
        return self.policy.check(here) or self.secrets.refusal(here, of_anyone=True) or self.executor.never(here)

    def refusal(self, work: Work) -> str:
        """Why this work can never run here, by protocol, owner, policy or size; empty where it can.

        The policy sees nothing that breaks the protocol.
        """
        try:
            check_work(work)
            if self.signatures:
                self.signatures.check(work, self.wall_clock())
            here = self.here(work)
        except InvalidArgument as error:
            return fault(error)
        except WorkRefused as refused:
            return refused.message
        except NotTaken:
            return ""
        return self.policy.check(here) or self.secrets.refusal(here) or self.executor.never(here)

    def here(self, work: Work) -> Work:
        """The work with the options that it has at this cluster, as the user that it runs as.

        Raises WorkRefused and NotTaken.
        """
        return self.people.as_owner(at_cluster(work, self.client.cluster))
