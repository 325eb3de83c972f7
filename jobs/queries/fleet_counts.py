"""All clusters in numbers, for metrics: the cost does not grow with the jobs."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count

from clusters.models import Cluster, Streak
from jobs.models import LeaseWatch
from jobs.queries.summaries import summarize_jobs
from jobs.states import JobState

# Each has a dozen series.
MOST_CLUSTERS = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterCounts:
    """`tokens_held` is how many tokens have their jobs held back there."""

    name: str
    pool: bool
    jobs: Mapping[JobState, int]
    oldest_submitted_at: datetime | None
    last_asked_at: datetime | None
    paused: bool
    not_ready: bool
    tokens_held: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetCounts:
    """`clusters` are the first MOST_CLUSTERS that were registered, of `registered` in all.

    `leases_held_back`: leases that ran out stay in force, since most clusters are silent at once.
    """

    clusters: list[ClusterCounts]
    registered: int
    leases_held_back: bool


def count_fleet() -> FleetCounts:
    """Takes five queries, whatever the number of clusters and jobs."""
    found = list(Cluster.objects.defer("facts", "last_bounds").order_by("id")[:MOST_CLUSTERS])
    summaries = summarize_jobs(cluster_ids=[cluster.id for cluster in found])
    held = dict(Streak.objects.filter(held_at__isnull=False).values_list("cluster_id").annotate(Count("id")).order_by())
    counts = [
        ClusterCounts(
            name=cluster.name,
            pool=cluster.pool,
            jobs=summary.counts,
            oldest_submitted_at=summary.oldest_submitted_at,
            last_asked_at=cluster.last_asked_at,
            paused=cluster.paused_at is not None,
            not_ready=bool(cluster.not_ready),
            tokens_held=held.get(cluster.id, 0),
        )
        for cluster, summary in zip(found, summaries, strict=True)
    ]
    return FleetCounts(
        clusters=counts,
        registered=len(found) if len(found) < MOST_CLUSTERS else Cluster.objects.count(),
        leases_held_back=LeaseWatch.objects.filter(held_back_since__isnull=False).exists(),
    )
