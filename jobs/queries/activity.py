"""The activity of clusters over time, for charts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Sum

from jobs.models import JobActivity
from jobs.sql.inserts import beginning
from jobs.states import Activity, Span

# How long the counts of a span are kept.
KEPT = {
    Span.FIVE_MINUTES: timedelta(days=2),
    Span.HOUR: timedelta(days=15),
    Span.SIX_HOURS: timedelta(days=400),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """Numbers of jobs in consecutive stretches of time, oldest first; the last one is not over yet."""

    span: Span
    beginnings: list[datetime]
    numbers: dict[Activity, list[int]]

    def total(self, *what: Activity) -> list[int]:
        """The sum of several activities in each stretch."""
        return [sum(numbers) for numbers in zip(*(self.numbers[name] for name in what), strict=True)]


def activity_over(*, span: Span, stretches: int, now: datetime, cluster_id: int | None = None) -> Timeline:
    """The activity of one cluster, or of all, in the last stretches of a span."""
    last = beginning(span, now)
    beginnings = [last - timedelta(seconds=span.value * back) for back in reversed(range(stretches))]
    found = JobActivity.objects.filter(span_seconds=span, began_at__gte=beginnings[0])
    if cluster_id is not None:
        found = found.filter(cluster_id=cluster_id)
    numbers = {what: [0] * stretches for what in Activity}
    places = {at: place for place, at in enumerate(beginnings)}
    for at, what, jobs in found.values_list("began_at", "what").annotate(Sum("jobs")).order_by():
        if at in places:
            numbers[Activity(what)][places[at]] = jobs
    return Timeline(span=span, beginnings=beginnings, numbers=numbers)


def activity_by_cluster(
    *, span: Span, since: datetime, until: datetime | None = None, cluster_ids: Sequence[int] | None = None
) -> dict[int, dict[Activity, int]]:
    """The activity of each cluster, or of these, in the stretches that began from `since` on, before `until`."""
    found = JobActivity.objects.filter(span_seconds=span, began_at__gte=since)
    if until:
        found = found.filter(began_at__lt=until)
    if cluster_ids is not None:
        found = found.filter(cluster_id__in=cluster_ids)
    totals: dict[int, dict[Activity, int]] = {}
    for cluster_id, what, jobs in found.values_list("cluster_id", "what").annotate(Sum("jobs")).order_by():
        totals.setdefault(cluster_id, {})[Activity(what)] = jobs
    return totals
