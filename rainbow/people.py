"""People as a server tells of them: who calls, their projects and their tokens."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from rainbow.records import CredentialKind, JobState


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A project of the caller's. `lead`: the caller looks after its members and tokens."""

    name: str
    lead: bool
    shares_jobs: bool
    clusters: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Whose credential it is: a cluster's, with its `cluster`; a person's; or a project's, with that one project."""

    kind: CredentialKind
    label: str
    cluster: str
    person: str
    projects: tuple[Project, ...]
    expires_at: datetime | None
    reads_only: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A token of a person or a project, without its value. `project` and `clusters` are what it is narrowed to."""

    id: int
    label: str
    project: str
    clusters: tuple[str, ...]
    reads_only: bool
    created_at: datetime | None
    last_used_at: datetime | None
    expires_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewToken:
    """A token with its value, which the server shows only this once."""

    value: str = field(repr=False)
    token: Token


@dataclass(frozen=True, slots=True, kw_only=True)
class LeakedJob:
    """A job that was submitted with a credential that leaked."""

    id: int
    state: JobState


@dataclass(frozen=True, slots=True, kw_only=True)
class Leak:
    """A credential that leaked, whose it is, and what was done with it.

    `job_count` is counted up to 100,000; `jobs` are the newest, up to 20. `revoked_now`: this report revoked it.
    """

    kind: CredentialKind
    label: str
    cluster: str
    person: str
    project: str
    created_at: datetime | None
    last_used_at: datetime | None
    expires_at: datetime | None
    revoked_at: datetime | None
    revoked_now: bool
    job_count: int
    jobs: tuple[LeakedJob, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """A login that waits for its person, who confirms `code` on the server's page. `login` proves whose it is."""

    login: str = field(repr=False)
    code: str
    page: str
    expires_at: datetime | None
    poll_every_seconds: int


class LoginState(StrEnum):
    PENDING = "pending"
    APPROVED = "approved"
    DENIED = "denied"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginAnswer:
    """How far a login is; once it is approved, with the token and its person's name."""

    state: LoginState
    person: str = ""
    new: NewToken | None = None
