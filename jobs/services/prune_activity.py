"""Removing activity that no chart shows any more."""

from collections import Counter
from datetime import datetime

from django.db import transaction

from jobs.models import JobActivity
from jobs.queries.activity import KEPT
from jobs.sql.inserts import activity_totals_added, beginning
from jobs.sql.statements import run_in_order
from jobs.states import Span

_BATCH = 1_000


def prune_activity(*, now: datetime) -> None:
    """Deletes activity that no chart shows any more, and joins the slots of stretches that are over."""
    for span in Span:
        while delete_old_activity(span=span, now=now, limit=_BATCH):
            pass
        over = JobActivity.objects.filter(span_seconds=span, began_at__lt=beginning(span, now)).exclude(slot=0)
        for began_at in list(over.values_list("began_at", flat=True).distinct().order_by("began_at")):
            join_slots(span=span, began_at=began_at)


def delete_old_activity(*, span: Span, now: datetime, limit: int) -> int:
    """Deletes so many rows of a span that no chart shows any more; returns how many."""
    old = JobActivity.objects.filter(span_seconds=span, began_at__lt=now - KEPT[span]).order_by("began_at")
    return JobActivity.objects.filter(id__in=list(old.values_list("id", flat=True)[:limit])).delete()[0]


@transaction.atomic
def join_slots(*, span: Span, began_at: datetime) -> int:
    """Makes one row of each cluster and kind out of its slots in a stretch that is over; returns how many it joined."""
    found = JobActivity.objects.filter(span_seconds=span, began_at=began_at).exclude(slot=0)
    # In the lock order (docs/development.md): a writer whose clock is behind may add to these rows still.
    found = found.order_by("cluster_id", "what", "slot")
    rows = list(found.select_for_update().values_list("id", "cluster_id", "what", "jobs"))
    JobActivity.objects.filter(id__in=[row[0] for row in rows]).delete()
    totals: Counter[tuple[Span, datetime, int, str]] = Counter()
    for _, cluster_id, what, jobs in rows:
        totals[span, began_at, cluster_id, what] += jobs
    run_in_order(activity_totals_added(totals))
    return len(rows)
