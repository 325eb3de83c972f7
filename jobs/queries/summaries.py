"""Counts of jobs by state."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Sum

from clusters.sql.moments import as_datetime
from jobs.models import JobCount
from jobs.sql.reads import oldest_queued
from jobs.states import JobState


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """A cluster's jobs by state (states without jobs are left out), and when its oldest waiting job was submitted."""

    cluster_id: int
    counts: dict[JobState, int]
    oldest_submitted_at: datetime | None


def summarize_jobs(*, cluster_ids: Sequence[int]) -> list[Summary]:
    """A summary of each cluster, from the counts: the cost does not grow with the jobs."""
    counts: dict[int, dict[JobState, int]] = {cluster_id: {} for cluster_id in cluster_ids}
    sums = JobCount.objects.filter(cluster_id__in=cluster_ids).values("cluster_id", "state")
    for row in sums.annotate(total=Sum("jobs")).filter(total__gt=0).order_by("state"):
        counts[row["cluster_id"]][JobState(row["state"])] = row["total"]
    oldest = {cluster_id: as_datetime(at) for cluster_id, at in oldest_queued(cluster_ids)} if cluster_ids else {}
    return [
        Summary(cluster_id=cluster_id, counts=found, oldest_submitted_at=oldest.get(cluster_id))
        for cluster_id, found in counts.items()
    ]
