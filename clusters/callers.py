from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

from clusters.models import CredentialKind, Streak
from rainbow.errors import InvalidArgument
from rainbow.telemetry.lines import Quoted

# A compromise between fresh information and writes.
NOTE_ASKING_EVERY = timedelta(seconds=10)
NOTE_USE_EVERY = timedelta(seconds=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A credential as presented; `cluster` is the cluster that the call is for, None for the credential's own.

    `certified` has the clusters that the client's certificate is for, and only their secrets are accepted; None where
    the client presented no certificate and needs none.
    `request_id` is that of the call, for the events of what it does, `traceparent` its span. `reads`: the call
    changes nothing.
    """

    value: str
    cluster: str | None = None
    kinds: frozenset[CredentialKind] = frozenset(CredentialKind)
    certified: frozenset[str] | None = None
    request_id: str = ""
    traceparent: str = ""
    reads: bool = False


class Holder(NamedTuple):
    """From whom something may be taken while a call waits."""

    kind: Literal["credential", "person"]
    id: int


class Party(NamedTuple):
    """Who has one share of what is limited, however many tokens they have."""

    kind: Literal["credential", "person", "project"]
    id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ActsFor:
    """A project that a token acts for.

    `granted`: it may use the cluster that the call is for. `leads`: the token's holder acts on all of its jobs.
    `shares`: all of its members see them.
    """

    id: int
    name: str
    granted: bool
    leads: bool
    shares: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """An authenticated holder of a credential, with its cluster or pool as of that moment.

    A personal or project token has no cluster of its own: it is the one that the call is for; 0 and empty if the call
    is for none. Of its holder are `person`, the `projects` that it acts for, the project that a personal token is
    narrowed to, and the clusters that it is (`scopes`). A person who acts on a page has no credential: its id is 0.
    `last_asked_at` of a pool is that of its clusters that take jobs. `held_back` is why the jobs submitted with it are
    held back; empty when they are not.
    """

    credential_id: int
    kind: CredentialKind
    label: str
    digest: str
    last_used_at: datetime | None
    cluster_id: int
    cluster: str
    pool: bool
    last_asked_at: datetime | None
    not_ready: str
    paused_at: datetime | None
    paused_reason: str
    # The operator who was shown the value; None and empty if none was.
    issued_by_id: int | None
    issued_by: str
    held_back: str
    request_id: str = ""
    traceparent: str = ""
    person_id: int | None = None
    person: str = ""
    narrowed_to: int | None = None
    projects: tuple[ActsFor, ...] = ()
    scopes: frozenset[int] = frozenset()

    @property
    def paused(self) -> bool:
        return self.paused_at is not None

    @property
    def credential(self) -> int | None:
        return self.credential_id or None

    @property
    def account(self) -> int | None:
        """Of a person who acts on a page."""
        return None if self.credential_id else self.person_id

    @property
    def holders(self) -> tuple[Holder, ...]:
        """Whose credentials and reach decide whether a call goes on. A project's are told of its members and tokens."""
        person = (Holder("person", self.person_id),) if self.person_id else ()
        return (Holder("credential", self.credential_id), *person)

    @property
    def party(self) -> Party:
        """People make tokens for themselves and for the projects that they lead."""
        if self.person_id:
            return Party("person", self.person_id)
        if self.kind == CredentialKind.PROJECT and self.projects:
            return Party("project", self.projects[0].id)
        return Party("credential", self.credential_id)

    @property
    def who(self) -> str:
        if self.account:
            return self.person
        return f"{self.person} ({self.label})" if self.person else f"{self.kind} {self.label}"

    @property
    def logged(self) -> dict[str, object]:
        """Log fields of a call: the person, or the credential of a project, or one whose value an operator knows."""
        if self.person:
            return {"user": Quoted(self.person)}
        issue: dict[str, object] = {"issued_by": Quoted(self.issued_by)} if self.issued_by else {}
        return {"credential": self.credential_id, **issue} if issue or self.projects else {}

    def check_place(self) -> None:
        """Raises InvalidArgument where the call is for no cluster or pool."""
        if not self.cluster_id:
            raise InvalidArgument("name a cluster or a pool", field="cluster")

    def may_see(self, streak: Streak) -> bool:
        """A token sees its own streak, a secret all of its cluster's."""
        return self.kind == CredentialKind.SECRET or streak.credential_id == self.credential_id

    def use_is_worth_noting(self, now: datetime) -> bool:
        return self.last_used_at is None or now - self.last_used_at >= NOTE_USE_EVERY

    def asking_is_worth_noting(self, now: datetime) -> bool:
        return self.last_asked_at is None or now - self.last_asked_at >= NOTE_ASKING_EVERY


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    user_id: int
    name: str
    request_id: str = ""

    @property
    def credential(self) -> None:
        """As of a caller, which has one."""

    @property
    def account(self) -> int:
        return self.user_id

    @property
    def party(self) -> Party:
        return Party("person", self.user_id)

    @property
    def who(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """Who asked earlier for what is done now."""

    credential: int | None
    account: int | None
    request_id: str = ""


# None is the server itself.
Actor = Caller | Operator | None
