"""The actions of operators on many jobs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from clusters.callers import Operator
from clusters.models import Cluster
from clusters.validation import check_range, check_reason
from jobs.outcomes import CHANGED
from jobs.services.cancel import cancel_jobs
from jobs.services.change_result import ChangeResult
from jobs.services.move import move_jobs
from jobs.services.priority import change_priority
from jobs.services.requeue import requeue_jobs
from jobs.specs import MAX_PRIORITY
from jobs.states import ActionKind
from rainbow.errors import NotFound


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """`priority` is for changing it, `cluster_id` for moving; `reason` is always needed."""

    kind: ActionKind
    reason: str
    priority: int = 0
    cluster_id: int = 0


def apply_to_jobs(*, action: Action, by: Operator, job_ids: Sequence[int], now: datetime) -> list[ChangeResult]:
    """Runs the action in one transaction. A result for each distinct id. Raises InvalidArgument and NotFound."""
    check_action(action)
    return _VERBS[action.kind](action, by, job_ids, now)


def check_action(action: Action) -> None:
    """Raises InvalidArgument and NotFound."""
    check_reason(action.reason, required=True)
    if action.kind == ActionKind.PRIORITIZE:
        check_range(action.priority, field="priority", lowest=-MAX_PRIORITY, highest=MAX_PRIORITY)
    if action.kind == ActionKind.MOVE and not Cluster.objects.filter(id=action.cluster_id).exists():
        raise NotFound("there is no such cluster", field="cluster")


def _cancel(action: Action, by: Operator, job_ids: Sequence[int], now: datetime) -> list[ChangeResult]:
    results = cancel_jobs(by=by, job_ids=job_ids, reason=action.reason, now=now)
    refusals = ((item.job_id, "" if item.outcome in CHANGED else item.outcome.value) for item in results)
    return [ChangeResult(job_id=id, refusal=refusal) for id, refusal in refusals]


def _requeue(action: Action, by: Operator, job_ids: Sequence[int], now: datetime) -> list[ChangeResult]:
    results = requeue_jobs(by=by, job_ids=job_ids, reason=action.reason, now=now)
    return [ChangeResult(job_id=item.job_id, refusal=item.refusal) for item in results]


def _prioritize(action: Action, by: Operator, job_ids: Sequence[int], now: datetime) -> list[ChangeResult]:
    return change_priority(by=by, job_ids=job_ids, priority=action.priority, reason=action.reason, now=now)


def _move(action: Action, by: Operator, job_ids: Sequence[int], now: datetime) -> list[ChangeResult]:
    return move_jobs(by=by, job_ids=job_ids, cluster_id=action.cluster_id, reason=action.reason, now=now)


_VERBS: dict[ActionKind, Callable[[Action, Operator, Sequence[int], datetime], list[ChangeResult]]] = {
    ActionKind.CANCEL: _cancel,
    ActionKind.REQUEUE: _requeue,
    ActionKind.PRIORITIZE: _prioritize,
    ActionKind.MOVE: _move,
}
