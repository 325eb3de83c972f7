"""Acting on all jobs that match, in short steps."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils.dateparse import parse_datetime

from clusters.callers import Operator
from jobs.models import BulkAction, Job
from jobs.queries.lookup import list_jobs
from jobs.queries.search import Search, check_search, holds, matching_jobs
from jobs.services.actions import Action, apply_to_jobs, check_action
from jobs.services.change_result import ChangeResult
from jobs.states import ActionKind, JobState
from rainbow.errors import FailedPrecondition

# A step changes at most so many jobs and reads so many ids, so that other writers wait only briefly.
_MOST_CHANGED = 1_000
_MOST_LOOKED_AT = 50_000
_TIMES = ("submitted_after", "submitted_before")
# Not written where they are not said: servers of earlier releases do not know them.
_LATER = ("owner_id", "project_id", "group")


def begin_bulk_action(*, action: Action, search: Search, by: Operator, now: datetime) -> BulkAction:
    """Fixes what is to be done to which jobs; jobs that are submitted from now on are left alone.

    Nothing is done yet: `step_bulk_action` does it. Raises InvalidArgument and NotFound.
    """
    check_action(action)
    check_search(search)
    last = Job.objects.order_by("-id").values_list("id", flat=True).first() or 0
    first = _first(search, by) or last + 1
    return BulkAction.objects.create(
        kind=action.kind,
        reason=action.reason,
        priority=action.priority if action.kind == ActionKind.PRIORITIZE else None,
        to_cluster_id=action.cluster_id if action.kind == ActionKind.MOVE else None,
        search=_as_json(search),
        operator_id=by.user_id,
        begun_at=now,
        stepped_at=now,
        finished_at=now if first > last else None,
        first_id=first,
        next_id=first,
        last_id=max(last, first),
    )


@transaction.atomic
def step_bulk_action(*, bulk_action_id: int, now: datetime) -> BulkAction:
    """Runs the next step, as the operator who began the action; does nothing when it is over."""
    bulk_action = BulkAction.objects.select_for_update().get(id=bulk_action_id)
    if bulk_action.over:
        return bulk_action
    job_ids, bulk_action.next_id = _next(bulk_action)
    if job_ids:
        by = Operator(user_id=bulk_action.operator_id, name="")
        _count(bulk_action, apply_to_jobs(action=_action_of(bulk_action), by=by, job_ids=job_ids, now=now))
    bulk_action.stepped_at = now
    bulk_action.finished_at = now if bulk_action.next_id > bulk_action.last_id else None
    bulk_action.save()
    return bulk_action


def stop_bulk_action(*, bulk_action_id: int, now: datetime) -> None:
    """Stops before the rest of the jobs. Raises FailedPrecondition when the bulk_action is over."""
    going = BulkAction.objects.filter(id=bulk_action_id, finished_at__isnull=True)
    if not going.update(finished_at=now, stopped=True):
        raise FailedPrecondition("this is over already")


def search_of(bulk_action: BulkAction) -> Search:
    said: dict[str, Any] = dict(bulk_action.search)
    for name in _TIMES:
        said[name] = parse_datetime(said[name]) if said.get(name) else None
    said["states"] = [JobState(state) for state in said["states"]]
    return Search(**said)


def _as_json(search: Search) -> dict[str, Any]:
    said = asdict(search)
    for name in _TIMES:
        said[name] = said[name].isoformat() if said[name] else None
    for name in ("oldest_first", "size", "last", *(name for name in _LATER if not said[name])):
        del said[name]
    return said


def _first(search: Search, by: Operator) -> int:
    """The first id that may match."""
    said = {**_as_json(search), "text": "", **{name: getattr(search, name) for name in _TIMES}}
    page = list_jobs(by=by, search=Search(**said, oldest_first=True, size=1))
    # Of what was scanned without a match, the next one may match.
    return page.jobs[0].id if page.jobs else page.looked_until + bool(page.looked_until)


def _action_of(bulk_action: BulkAction) -> Action:
    return Action(
        kind=ActionKind(bulk_action.kind),
        reason=bulk_action.reason,
        priority=bulk_action.priority or 0,
        cluster_id=bulk_action.to_cluster_id or 0,
    )


def _next(bulk_action: BulkAction) -> tuple[list[int], int]:
    """The next ids to act on, and where the step after that begins."""
    search = search_of(bulk_action)
    until = min(bulk_action.last_id, bulk_action.next_id + _MOST_LOOKED_AT - 1)
    jobs = matching_jobs(Job.objects.filter(id__gte=bulk_action.next_id, id__lte=until), search)
    if search.states:
        jobs = jobs.filter(state__in=search.states)
    if search.text:
        jobs = jobs.filter(holds(search))
    found = list(jobs.order_by("id").values_list("id", flat=True)[:_MOST_CHANGED])
    return found, (found[-1] if len(found) == _MOST_CHANGED else until) + 1


def _count(bulk_action: BulkAction, results: Sequence[ChangeResult]) -> None:
    refused = Counter(result.refusal for result in results if result.refusal)
    bulk_action.changed += len(results) - refused.total()
    bulk_action.refusals = dict(Counter(bulk_action.refusals) + refused)
