"""Removing activity that no chart shows any more."""

from collections import Counter
from datetime import datetime

from django.db import transaction

from jobs.models import JobActivity
from jobs.queries.activity import KEPT
from jobs.sql.inserts import add_activity_totals, beginning
from jobs.states import Span


def prune_activity(*, now: datetime) -> None:
    """Deletes activity that no chart shows any more, and joins the slots of stretches that are over."""
    for span, kept in KEPT.items():
        JobActivity.objects.filter(span_seconds=span, began_at__lt=now - kept).delete()
        over = JobActivity.objects.filter(span_seconds=span, began_at__lt=beginning(span, now)).exclude(slot=0)
        for began_at in list(over.values_list("began_at", flat=True).distinct().order_by("began_at")):
            _join_slots(span, began_at)


@transaction.atomic
def _join_slots(span: Span, began_at: datetime) -> None:
    found = JobActivity.objects.filter(span_seconds=span, began_at=began_at).exclude(slot=0)
    # In the lock order (docs/development.md): a writer whose clock is behind may add to these rows still.
    found = found.order_by("cluster_id", "what", "slot")
    rows = list(found.select_for_update().values_list("id", "cluster_id", "what", "jobs"))
    JobActivity.objects.filter(id__in=[row[0] for row in rows]).delete()
    totals: Counter[tuple[Span, datetime, int, str]] = Counter()
    for _, cluster_id, what, jobs in rows:
        totals[span, began_at, cluster_id, what] += jobs
    add_activity_totals(totals)
