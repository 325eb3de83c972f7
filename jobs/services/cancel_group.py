"""Cancelling a group of jobs."""

from datetime import datetime

from django.db import transaction

from clusters.callers import Caller, Operator
from clusters.validation import check_reason
from jobs.left_to_do import Work, tell_of_work_after_commit
from jobs.queries.groups import own_groups, visible_groups
from rainbow.errors import NO_SUCH_GROUP, FailedPrecondition, NotFound

ONLY_SEEN = "only its owner and the leads of its project may cancel it"


@transaction.atomic
def cancel_group(*, by: Caller | Operator, group_id: int, reason: str = "", now: datetime) -> None:
    """Notes that all members are to be cancelled; the group's steps do it. It takes no further ones from here on.

    Once it is noted, it is done whatever happens. Raises InvalidArgument, NotFound, and FailedPrecondition where the
    group is finished.
    """
    check_reason(reason)
    group = own_groups(by).filter(id=group_id).select_for_update(of=("self",), no_key=True).first()
    if group is None:
        raise NotFound(ONLY_SEEN if visible_groups(by).filter(id=group_id).exists() else NO_SUCH_GROUP, field="id")
    if group.finished_at:
        raise FailedPrecondition("the group is finished already")
    group.open, group.cancelled_to = False, 0
    group.stopped_at, group.why = group.stopped_at or now, reason
    group.stopped_by_id, group.stopped_by_account_id = by.credential, by.account
    tell_of_work_after_commit(Work.GROUPS, [group.id])
    group.save(update_fields=["open", "cancelled_to", "stopped_at", "why", "stopped_by_id", "stopped_by_account_id"])
