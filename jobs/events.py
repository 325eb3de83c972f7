"""Writing down what happens to jobs: the one place that adds events and keeps the counts."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from clusters.callers import Caller, Operator
from jobs.sql import add_counts, insert_events, timestamp
from jobs.states import JobState, What

# Whoever does something to a job; None is the server itself.
Actor = Caller | Operator | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing that happens to one job. `before` is None for a new job."""

    job_id: int
    cluster_id: int
    priority: int
    attempt: int
    what: What
    before: JobState | None
    after: JobState


def record(steps: Sequence[tuple[Step, Actor]], *, now: datetime, why: str = "") -> None:
    """Adds an event for each step and moves the counts. Call it last in the transaction that takes the steps."""
    at = timestamp(now)
    insert_events([_event(step, by, at, why) for step, by in steps])
    changes: Counter[tuple[int, str, int]] = Counter()
    for step, _ in steps:
        if step.before == step.after:
            continue
        changes[step.cluster_id, step.after.value, step.priority] += 1
        if step.before:
            changes[step.cluster_id, step.before.value, step.priority] -= 1
    add_counts(changes)


def _event(step: Step, by: Actor, at: object, why: str) -> tuple[object, ...]:
    credential = by.credential_id if isinstance(by, Caller) else None
    operator = by.user_id if isinstance(by, Operator) else None
    return (step.job_id, at, step.what.value, step.after.value, step.attempt, credential, operator, why)
