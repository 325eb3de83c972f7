"""What the client returns. Protobuf messages stay inside it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from rainbow.errors import RainbowError
from rainbow.facts import Facts

# Those with `as` also for programs that import them from here.
from rainbow.outcomes import CancelOutcome as CancelOutcome
from rainbow.outcomes import RefusalReason as RefusalReason
from rainbow.outcomes import SignalOutcome as SignalOutcome
from rainbow.rules import MAX_OUTPUT_BYTES
from rainbow.specs import JobDescription
from rainbow.specs import JobSpec as JobSpec
from rainbow.specs import OnLost as OnLost
from rainbow.states import FINAL_STATES as FINAL_STATES
from rainbow.states import EndCause as EndCause
from rainbow.states import JobState as JobState


class CredentialKind(StrEnum):
    TOKEN = "token"
    SECRET = "secret"
    PERSONAL = "personal"
    PROJECT = "project"


# Of the kinds that belong to a cluster.
OF_CLUSTERS = (CredentialKind.TOKEN, CredentialKind.SECRET)


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """A new cluster's first credentials, which the server shows only this once."""

    cluster: str
    token: str = field(repr=False)
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A queued job. `position` 1 goes next; 0 no longer waits. `duplicate`: its key was known already."""

    jobid: int
    duplicate: bool
    position: int
    idempotency_key: str
    agent_last_asked_at: datetime | None
    warning: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmitResult:
    """One job of many: queued, or refused with an `error` and the id 0."""

    jobid: int
    duplicate: bool
    position: int
    idempotency_key: str
    error: RainbowError | None
    group: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmitResults:
    """One result for each job, in the order of the submission."""

    results: tuple[SubmitResult, ...]
    agent_last_asked_at: datetime | None
    warning: str
    group: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupWish:
    """The group that jobs become members of as they are submitted: a new one, or that of this id or key.

    `at_once` members may be in queues and clusters at a time; when `stop_after_failures` of them failed, the rest is
    cancelled. 0 means no limit. An empty `idempotency_key` lets the client choose one. `more`: further calls add
    members.
    """

    name: str = ""
    at_once: int = 0
    stop_after_failures: int = 0
    id: int = 0
    idempotency_key: str = ""
    more: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Resubmissions(SubmitResults):
    """The same of jobs that were submitted again. `signed_before`: the old ones that were signed; the new are not."""

    signed_before: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingJob(JobDescription):
    """A job as the queue offers it to a cluster.

    Of a job that waits in a `pool` and that others may take, it has only sizes, needs and name; the cluster learns the
    rest once it has accepted it.
    """

    id: int
    cluster: str
    attempt: int = 1
    pool: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokenJob:
    """A waiting job that the server sent and that breaks the rules of the protocol; `reason` says which."""

    id: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingJobs:
    """Waiting jobs in the order of the queue, all of them within the protocol's rules; `broken` are those that are not.

    `paused` says why there are none, if an operator paused the cluster.
    """

    jobs: tuple[WaitingJob, ...]
    paused: str
    broken: tuple[BrokenJob, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptedJob:
    """A job that is now the caller's. No lease runs when it was accepted without an agent's name."""

    jobid: int
    attempt: int
    lease_expires_at: datetime | None
    traceparent: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedJob:
    jobid: int
    reason: RefusalReason
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    """The result of an accept. `complete`: all of the jobs were accepted."""

    complete: bool
    accepted: tuple[AcceptedJob, ...]
    refused: tuple[RefusedJob, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEvent:
    """`request_id` is that of the call that did it; empty where the server did it itself."""

    at: datetime
    what: str
    state: JobState
    attempt: int
    who: str
    why: str
    request_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobAttempt:
    """An earlier attempt at a job, which waits or ran again since."""

    attempt: int
    cluster: str
    native_id: str
    accepted_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    end_cause: EndCause
    exit_code: int | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Prospect:
    """Whether a cluster would take a waiting job, and if not, why.

    `outlook` says it in one word (docs/protocol.md). `text` has the cluster as its subject.
    """

    cluster: str
    outlook: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFile:
    """A file of a job at its site."""

    name: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputFiles:
    """The files that fit a job's `outputs`, by name, as its agent listed them once it had ended. `more`: there may be
    others.
    """

    files: tuple[JobFile, ...] = ()
    more: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Job(JobSpec):
    """All that a job's submitter and its cluster may know.

    `environment`, `output` and `events` are empty in a list of jobs. `output_files` is None there, and where the agent
    did not list them. `why_waiting` and `prospects` are there where a single job was looked up, and it waits.
    """

    id: int
    cluster: str
    state: JobState
    attempt: int
    agent: str
    native_id: str
    exit_code: int | None
    reason: str
    output: str
    submitted_at: datetime | None
    accepted_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    lost_at: datetime | None
    lease_expires_at: datetime | None
    cancel_requested_at: datetime | None
    submitted_by: str
    events: tuple[JobEvent, ...]
    why_waiting: str = ""
    pool: str = ""
    owner: str = ""
    prospects: tuple[Prospect, ...] = ()
    end_cause: EndCause = EndCause.UNSPECIFIED
    retry_at: datetime | None = None
    attempts: tuple[JobAttempt, ...] = ()
    resubmissions: tuple[int, ...] = ()
    output_files: OutputFiles | None = None

    @property
    def output_is_cut(self) -> bool:
        """Whether it wrote more than is kept. The cut leaves out up to 3 bytes of a character."""
        return len(self.output.encode()) > MAX_OUTPUT_BYTES - 4


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundJobs:
    """`missing` are the ids that do not exist or are not the caller's."""

    jobs: tuple[Job, ...]
    missing: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPage:
    """Jobs, newest first. An empty `next_page_token` says that this was the last page."""

    jobs: tuple[Job, ...]
    next_page_token: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JobGroup:
    """Many jobs that are submitted, watched and cancelled as one; states without members are left out.

    `open`: it takes further members. `stopped_at`: since when its members are being cancelled. `failures` are the first
    that failed, where a single group was looked up.
    """

    id: int
    name: str
    cluster: str
    counts: Mapping[JobState, int]
    made_at: datetime
    finished_at: datetime | None
    open: bool
    submitted_by: str
    owner: str
    project: str
    at_once: int
    stop_after_failures: int
    stopped_at: datetime | None
    why: str
    failures: tuple[Job, ...] = ()

    @property
    def members(self) -> int:
        return sum(self.counts.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupPage:
    """Groups, the newest first. An empty `next_page_token` says that this was the last page."""

    groups: tuple[JobGroup, ...]
    next_page_token: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelResult:
    jobid: int
    outcome: CancelOutcome
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalResult:
    jobid: int
    outcome: SignalOutcome
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputPart:
    """A part of what a job wrote in that attempt, from the byte `offset` on. It may be empty."""

    offset: int
    data: bytes
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldToken:
    """A token whose waiting jobs are held back: too many in a row that were submitted with it failed at once."""

    token: str
    reason: str
    held_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumption:
    """What was resumed: why the cluster was paused (empty if it was not), and the tokens that were held back."""

    paused: str
    held_back: tuple[HeldToken, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """How many jobs of a cluster are in each state; states without jobs are left out.

    `paused` and `not_ready` say why it gets none now: an operator paused it, or its agent takes none.
    """

    cluster: str
    counts: Mapping[JobState, int]
    oldest_submitted_at: datetime | None
    agent_last_asked_at: datetime | None
    paused: str
    not_ready: str = ""
    held_back: tuple[HeldToken, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """A cluster or pool that a credential reaches. A job of the credential's pool may go there after `after_seconds`.

    `paused` and `not_ready` say why it gets no jobs now, `warning` why jobs may wait long. `queued` counts those of its
    own queue.
    """

    name: str
    pool: bool
    after_seconds: int
    last_asked_at: datetime | None
    paused: str
    not_ready: str
    warning: str
    queued: int
    oldest_submitted_at: datetime | None
    facts: Facts
    facts_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RotatedCredential:
    """A credential's new value, which the server shows only this once."""

    credential: str = field(repr=False)
    kind: CredentialKind
    label: str
    previous_expires_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Echo:
    """The server's answer to a test of the connection. `answered_at` is by its clock.

    It is None from an old server, and `server_version` is empty from one of 0.1.
    """

    request_id: str
    message_count: int
    messages_processed: int
    processing_details: str
    answered_at: datetime | None
    server_version: str = ""
