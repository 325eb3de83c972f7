"""The clusters that a credential reaches."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import QuerySet

from clusters.callers import Caller
from clusters.models import OF_CLUSTERS, Cluster, PoolMember
from jobs.queries.pools import last_asked_at, members_by_pool
from jobs.queries.summaries import Summary, summarize_jobs
from jobs.queries.warnings import warn, warn_caller
from jobs.states import JobState


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """A cluster or pool with its queue. A job of the caller's pool may go there after `after_seconds`.

    `last_asked_at` of a pool is that of its clusters that take jobs. `warning` is what is amiss, in words.
    """

    cluster: Cluster
    summary: Summary
    last_asked_at: datetime | None
    warning: str
    after_seconds: int = 0

    @property
    def queued(self) -> int:
        return self.summary.counts.get(JobState.QUEUED, 0)


def reach_of(caller: Caller) -> list[int]:
    """The id of the caller's own cluster, or of its pool and of the clusters of that in its order; of people what their
    projects may use, by name.
    """
    if caller.kind not in OF_CLUSTERS:
        return list(_granted_to(caller).values_list("id", flat=True))
    members = PoolMember.objects.filter(pool_id=caller.cluster_id).order_by("place")
    return [caller.cluster_id, *members.values_list("cluster_id", flat=True)]


def clusters_in_reach(*, by: Caller, now: datetime) -> list[Reached]:
    """The caller's own cluster, or its pool and the clusters of that in its order, in a few queries; of people what
    their projects may use, by name.
    """
    if by.kind not in OF_CLUSTERS:
        return _granted(list(_granted_to(by)), now)
    own = Cluster.objects.get(id=by.cluster_id)
    members = list(PoolMember.objects.filter(pool_id=own.id).select_related("cluster").order_by("place"))
    ids = [own.id, *(member.cluster_id for member in members)]
    summaries = {summary.cluster_id: summary for summary in summarize_jobs(cluster_ids=ids)}
    asked = last_asked_at(members) if own.pool else own.last_asked_at
    first = Reached(cluster=own, summary=summaries[own.id], last_asked_at=asked, warning=warn_caller(by, now=now))
    return [first, *_of_members(members, summaries, now)]


def _granted_to(caller: Caller) -> QuerySet[Cluster]:
    granted = Cluster.objects.filter(grants__project_id__in=[project.id for project in caller.projects])
    return (granted.filter(id__in=caller.scopes) if caller.scopes else granted).distinct().order_by("name")


def _granted(clusters: Sequence[Cluster], now: datetime) -> list[Reached]:
    members = members_by_pool(one.id for one in clusters if one.pool)
    asked = {one.id: last_asked_at(members[one.id]) if one.pool else one.last_asked_at for one in clusters}
    summaries = {summary.cluster_id: summary for summary in summarize_jobs(cluster_ids=list(asked))}
    return [
        Reached(
            cluster=one,
            summary=summaries[one.id],
            last_asked_at=asked[one.id],
            warning=warn(
                cluster=one.name,
                pool=one.pool,
                last_asked_at=asked[one.id],
                paused_reason=one.paused_reason,
                not_ready=one.not_ready,
                now=now,
            ),
        )
        for one in clusters
    ]


def _of_members(members: list[PoolMember], summaries: dict[int, Summary], now: datetime) -> Iterator[Reached]:
    for member in members:
        cluster = member.cluster
        yield Reached(
            cluster=cluster,
            summary=summaries[cluster.id],
            last_asked_at=cluster.last_asked_at,
            after_seconds=member.after_seconds,
            warning=warn(
                cluster=cluster.name,
                last_asked_at=cluster.last_asked_at,
                paused_reason=cluster.paused_reason,
                not_ready=cluster.not_ready,
                now=now,
            ),
        )
