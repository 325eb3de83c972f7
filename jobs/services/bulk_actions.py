"""What operators do to many jobs, in one form for all of it."""

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
    """Something to do to jobs. `priority` is for changing it, `cluster_id` for moving; `reason` is always needed."""

    kind: ActionKind
    reason: str
    priority: int = 0
    cluster_id: int = 0


def apply_to_jobs(*, act: Action, by: Operator, job_ids: Sequence[int], now: datetime) -> list[ChangeResult]:
    """Does it in one transaction. A verdict for each distinct id. Raises InvalidArgument and NotFound."""
    check_action(act)
    return _ACTS[act.kind](act, by, job_ids, now)


def check_action(act: Action) -> None:
    """Raises InvalidArgument and NotFound."""
    check_reason(act.reason, required=True)
    if act.kind == ActionKind.PRIORITIZE:
        check_range(act.priority, field="priority", lowest=-MAX_PRIORITY, highest=MAX_PRIORITY)
    if act.kind == ActionKind.MOVE and not Cluster.objects.filter(id=act.cluster_id).exists():
        raise NotFound("there is no such cluster", field="cluster")


def _cancel(act: Action, by: Operator, job_ids: Sequence[int], now: datetime) -> list[ChangeResult]:
    results = cancel_jobs(by=by, job_ids=job_ids, reason=act.reason, now=now)
    refusals = ((item.job_id, "" if item.outcome in CHANGED else item.outcome.value) for item in results)
    return [ChangeResult(job_id=id, refusal=refusal) for id, refusal in refusals]


def _requeue(act: Action, by: Operator, job_ids: Sequence[int], now: datetime) -> list[ChangeResult]:
    results = requeue_jobs(by=by, job_ids=job_ids, reason=act.reason, now=now)
    return [ChangeResult(job_id=item.job_id, refusal=item.refusal) for item in results]


def _prioritize(act: Action, by: Operator, job_ids: Sequence[int], now: datetime) -> list[ChangeResult]:
    return change_priority(by=by, job_ids=job_ids, priority=act.priority, reason=act.reason, now=now)


def _move(act: Action, by: Operator, job_ids: Sequence[int], now: datetime) -> list[ChangeResult]:
    return move_jobs(by=by, job_ids=job_ids, cluster_id=act.cluster_id, reason=act.reason, now=now)


_ACTS: dict[ActionKind, Callable[[Action, Operator, Sequence[int], datetime], list[ChangeResult]]] = {
    ActionKind.CANCEL: _cancel,
    ActionKind.REQUEUE: _requeue,
    ActionKind.PRIORITIZE: _prioritize,
    ActionKind.MOVE: _move,
}
