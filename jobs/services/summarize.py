"""Counting jobs."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import OuterRef, Subquery, Sum

from clusters.models import Cluster
from jobs.models import Job, JobCount
from jobs.states import JobState


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """A cluster's jobs by state (states without jobs are left out), and when its oldest waiting job came."""

    cluster_id: int
    counts: dict[JobState, int]
    oldest_submitted_at: datetime | None


def summarize_jobs(*, cluster_ids: Sequence[int]) -> list[Summary]:
    """A summary of each cluster, from the counts that the verbs keep: the cost does not grow with the jobs."""
    counts: dict[int, dict[JobState, int]] = {cluster_id: {} for cluster_id in cluster_ids}
    sums = JobCount.objects.filter(cluster_id__in=cluster_ids).values("cluster_id", "state")
    for row in sums.annotate(total=Sum("jobs")).filter(total__gt=0).order_by("state"):
        counts[row["cluster_id"]][JobState(row["state"])] = row["total"]
    oldest = _oldest(cluster_ids)
    return [
        Summary(cluster_id=cluster_id, counts=found, oldest_submitted_at=oldest.get(cluster_id))
        for cluster_id, found in counts.items()
    ]


def _oldest(cluster_ids: Sequence[int]) -> dict[int, datetime]:
    """One look at the head of an index for each cluster, in one query."""
    waiting = Job.objects.filter(cluster_id=OuterRef("id"), state=JobState.QUEUED)
    first = waiting.order_by("cluster_id", "state", "id").values("submitted_at")[:1]
    clusters = Cluster.objects.filter(id__in=cluster_ids).annotate(oldest=Subquery(first))
    return {id: at for id, at in clusters.values_list("id", "oldest") if at}
