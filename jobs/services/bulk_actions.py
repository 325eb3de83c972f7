"""What operators do to many jobs, in one form for all of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from clusters.callers import Operator
from clusters.models import Cluster
from clusters.validation import check_range, check_reason
from jobs.services.cancel import CHANGED, cancel_jobs
from jobs.services.change_result import Verdict
from jobs.services.move import move_jobs
from jobs.services.priority import change_priority
from jobs.services.requeue import requeue_jobs
from jobs.specs import MAX_PRIORITY
from jobs.states import ActKind
from rainbow.errors import NotFound


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """Something to do to jobs. `priority` is for changing it, `cluster_id` for moving; `reason` is always needed."""

    kind: ActKind
    reason: str
    priority: int = 0
    cluster_id: int = 0


def act_on_jobs(*, act: Act, by: Operator, job_ids: Sequence[int], now: datetime) -> list[Verdict]:
    """Does it in one transaction. A verdict for each distinct id. Raises InvalidArgument and NotFound."""
    check_act(act)
    return _ACTS[act.kind](act, by, job_ids, now)


def check_act(act: Act) -> None:
    """Raises InvalidArgument and NotFound."""
    check_reason(act.reason, required=True)
    if act.kind == ActKind.PRIORITIZE:
        check_range(act.priority, field="priority", lowest=-MAX_PRIORITY, highest=MAX_PRIORITY)
    if act.kind == ActKind.MOVE and not Cluster.objects.filter(id=act.cluster_id).exists():
        raise NotFound("there is no such cluster", field="cluster")


def _cancel(act: Act, by: Operator, job_ids: Sequence[int], now: datetime) -> list[Verdict]:
    results = cancel_jobs(by=by, job_ids=job_ids, reason=act.reason, now=now)
    refusals = ((item.job_id, "" if item.outcome in CHANGED else item.outcome.value) for item in results)
    return [Verdict(job_id=id, refusal=refusal) for id, refusal in refusals]


def _requeue(act: Act, by: Operator, job_ids: Sequence[int], now: datetime) -> list[Verdict]:
    results = requeue_jobs(by=by, job_ids=job_ids, reason=act.reason, now=now)
    return [Verdict(job_id=item.job_id, refusal=item.refusal) for item in results]


def _prioritize(act: Act, by: Operator, job_ids: Sequence[int], now: datetime) -> list[Verdict]:
    return change_priority(by=by, job_ids=job_ids, priority=act.priority, reason=act.reason, now=now)


def _move(act: Act, by: Operator, job_ids: Sequence[int], now: datetime) -> list[Verdict]:
    return move_jobs(by=by, job_ids=job_ids, cluster_id=act.cluster_id, reason=act.reason, now=now)


_ACTS: dict[ActKind, Callable[[Act, Operator, Sequence[int], datetime], list[Verdict]]] = {
    ActKind.CANCEL: _cancel,
    ActKind.REQUEUE: _requeue,
    ActKind.PRIORITIZE: _prioritize,
    ActKind.MOVE: _move,
}
