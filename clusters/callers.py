"""Who asks: whoever holds a cluster's credential, or an operator."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from clusters.models import CredentialKind, Streak
from clusters.visible import quoted

# A visit is written down at most this often: often enough for a person, rarely enough for the disk.
NOTE_ASKING_EVERY = timedelta(seconds=10)
NOTE_USE_EVERY = timedelta(seconds=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a client presents: a value, and the cluster it is said to be for (None: whichever it belongs to)."""

    value: str
    cluster: str | None = None
    kinds: frozenset[CredentialKind] = frozenset(CredentialKind)


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """The holder of a good credential, and its cluster as it was at that moment.

    `held_back` says why the jobs that were submitted with it get no turn; empty when they do.
    """

    credential_id: int
    kind: CredentialKind
    label: str
    digest: str
    last_used_at: datetime | None
    cluster_id: int
    cluster: str
    last_asked_at: datetime | None
    not_ready: str
    paused_at: datetime | None
    paused_reason: str
    # The operator who was shown its value, by id and name; None and empty where no operator was.
    issued_by_id: int | None
    issued_by: str
    held_back: str

    @property
    def paused(self) -> bool:
        return self.paused_at is not None

    @property
    def who(self) -> str:
        return f"{self.kind} {self.label}"

    @property
    def issue(self) -> dict[str, object]:
        """For the log, of a credential whose value an operator knows: which it is, and whose doing."""
        return {"credential": self.credential_id, "issued_by": quoted(self.issued_by)} if self.issued_by else {}

    def may_see(self, streak: Streak) -> bool:
        """A token sees its own row of failures, a secret all of its cluster's."""
        return self.kind == CredentialKind.SECRET or streak.credential_id == self.credential_id

    def use_is_worth_noting(self, now: datetime) -> bool:
        return self.last_used_at is None or now - self.last_used_at >= NOTE_USE_EVERY

    def asking_is_worth_noting(self, now: datetime) -> bool:
        return self.last_asked_at is None or now - self.last_asked_at >= NOTE_ASKING_EVERY


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """A signed-in person who looks after clusters."""

    user_id: int
    name: str

    @property
    def who(self) -> str:
        return self.name


# Whoever does something; None is the server itself.
Actor = Caller | Operator | None
