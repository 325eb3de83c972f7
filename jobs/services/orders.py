"""What is submitted, and what the submitter gets for it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from clusters.callers import Caller, Operator
from clusters.sql.moments import timestamp
from jobs.after import After
from jobs.specs import JobSpec, columns_of
from jobs.sql.statements import Columns
from jobs.states import JobState
from rainbow.telemetry import traces

# Where a job's idempotency key is unique.
Key = tuple[int, str]


# Neither is frozen: that makes construction three times slower, and a submission makes thousands.
@dataclass(slots=True, kw_only=True)
class Order:
    """`project` names one of the submitter's; empty means the only one that may use the cluster."""

    by: Caller | Operator
    cluster_id: int
    spec: JobSpec
    project: str = ""
    # Found for the name when the job is submitted; None with a credential of the cluster.
    project_id: int | None = None
    # Where it waits, once it is known.
    queue_id: int | None = None
    turn: int = 0
    # What it waits for outside of queues (jobs.models.Job).
    unmet: int = 0
    held_by_group: bool = False
    dependencies: tuple[After, ...] = ()
    # A job that can never run is cancelled in the transaction that submits it.
    why_cancelled: str = ""

    @property
    def state(self) -> JobState:
        if self.why_cancelled:
            return JobState.CANCELLED
        return JobState.BLOCKED if self.unmet or self.held_by_group else JobState.QUEUED

    @property
    def submitted_by_id(self) -> int | None:
        return self.by.credential

    @property
    def priority(self) -> int:
        return self.spec.priority

    @property
    def nodes(self) -> int:
        return self.spec.nodes

    @property
    def traceparent(self) -> str | None:
        return (self.by.traceparent or None) if isinstance(self.by, Caller) else None

    @property
    def owner_id(self) -> int | None:
        return self.by.person_id if isinstance(self.by, Caller) else None

    @property
    def submitter(self) -> int | str | None:
        """Who repeats a submission: the credential, or whoever it speaks for."""
        return submitter_of(self.by, self.project_id)

    @property
    def submitter_and_project(self) -> int | str | None:
        """A person's job of another project is another job."""
        return f"{self.submitter} p{self.project_id}" if self.owner_id else self.submitter

    @property
    def key(self) -> Key | None:
        return (self.cluster_id, self.own_key) if self.spec.idempotency_key else None

    @property
    def own_key(self) -> str:
        """Its idempotency key as it is stored: people do not meet each other's. A key has no newline of its own."""
        # Most have none, and many come at once.
        return stored_key(self.spec.idempotency_key, self.submitter) if self.spec.idempotency_key else ""

    @property
    def fingerprint(self) -> bytes | None:
        return self.spec.fingerprint(self.submitter_and_project) if self.spec.idempotency_key else None


def submitter_of(by: Caller | Operator, project_id: int | None) -> int | str | None:
    if isinstance(by, Caller) and by.person_id:
        return f"u{by.person_id}"
    return f"p{project_id}" if project_id else by.credential


def stored_key(said: str, submitter: int | str | None) -> str:
    return f"{submitter}\n{said}" if said and isinstance(submitter, str) else said


@dataclass(slots=True, kw_only=True)
class Receipt:
    """A job on record. `position` counts from 1; 0 when the job does not wait."""

    job_id: int
    duplicate: bool
    position: int


def rows_of(orders: Sequence[Order], queues: Mapping[int, int], now: datetime) -> Columns:
    return {
        "cluster_id": [order.cluster_id for order in orders],
        "queue_id": [queues[id(order)] if order.state == JobState.QUEUED else None for order in orders],
        "submitted_by_id": [order.submitted_by_id for order in orders],
        **_of_people(orders),
        **columns_of([order.spec for order in orders]),
        "idempotency_key": [order.own_key or None for order in orders],
        "fingerprint": [order.fingerprint for order in orders],
        **_turns(orders),
        "state": [order.state.value for order in orders],
        **_blocked(orders),
        **_cancelled(orders, now),
        "submitted_at": [timestamp(now)] * len(orders),
        **({"traceparent": [order.traceparent for order in orders]} if traces.are_on() else {}),
    }


def _blocked(orders: Sequence[Order]) -> Columns:
    """Nothing where no job is: the columns have a default."""
    unmet, held = [order.unmet for order in orders], [order.held_by_group for order in orders]
    return {"unmet": unmet, "held_by_group": held} if any(unmet) or any(held) else {}


def _cancelled(orders: Sequence[Order], now: datetime) -> Columns:
    reasons = [order.why_cancelled for order in orders]
    if not any(reasons):
        return {}
    return {"reason": reasons, "finished_at": [timestamp(now) if reason else None for reason in reasons]}


def _turns(orders: Sequence[Order]) -> Columns:
    turns = [order.turn for order in orders]
    return {"turn": turns} if any(turns) else {}


def _of_people(orders: Sequence[Order]) -> Columns:
    """Nothing where no job is of a person or a project: the columns have a default."""
    of_people = {
        "owner_id": [order.owner_id for order in orders],
        "project_id": [order.project_id for order in orders],
    }
    return of_people if any(order.project_id for order in orders) else {}
