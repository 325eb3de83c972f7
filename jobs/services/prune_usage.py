"""Removing old usage, and joining the slots of days that are over."""

from datetime import datetime

from django.db import transaction
from django.db.models import Value
from django.db.models.functions import Coalesce

from jobs.models import Usage
from jobs.sql.statements import run_in_order
from jobs.sql.usage import usage_added
from jobs.usage import KEPT, Used, day_of, totals

_BATCH = 1_000


def prune_usage(*, now: datetime) -> None:
    while delete_old_usage(now=now, limit=_BATCH):
        pass
    while join_usage(now=now, limit=_BATCH):
        pass


def delete_old_usage(*, now: datetime, limit: int) -> int:
    """Deletes so many rows of days that are kept no longer; returns how many."""
    old = Usage.objects.filter(day__lt=day_of(now - KEPT)).order_by("day")
    return Usage.objects.filter(id__in=list(old.values_list("id", flat=True)[:limit])).delete()[0]


@transaction.atomic
def join_usage(*, now: datetime, limit: int) -> int:
    """Joins so many rows of slots, of the oldest day that is over, to those without; returns how many.

    A report that comes days late may add to such a day again.
    """
    over = Usage.objects.filter(day__lt=day_of(now)).exclude(slot=0)
    day = over.order_by("day").values_list("day", flat=True).first()
    if day is None:
        return 0
    ids = list(over.filter(day=day).order_by("id").values_list("id", flat=True)[:limit])
    found = Usage.objects.filter(id__in=ids).select_for_update()
    # In the lock order (docs/development.md).
    rows = list(found.order_by("cluster_id", Coalesce("project_id", Value(0)), Coalesce("owner_id", Value(0)), "slot"))
    Usage.objects.filter(id__in=[row.id for row in rows]).delete()
    used = (
        Used(key=(row.day, row.cluster_id, row.project_id, row.owner_id), jobs=row.jobs, node_seconds=row.node_seconds)
        for row in rows
    )
    run_in_order(usage_added(totals(used), into=0))
    return len(rows)
