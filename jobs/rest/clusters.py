from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from clusters.callers import Caller, Operator
from clusters.facts import Facts
from clusters.models import OF_CLUSTERS, Cluster, PoolMember, Streak
from clusters.services.streaks import held_back, held_back_of
from jobs.queries.clusters import reach_of
from jobs.queries.pools import last_asked_at, members_by_pool
from jobs.queries.summaries import summarize_jobs
from jobs.queries.warnings import warn
from jobs.rest.permissions import VIEW_CLUSTERS
from jobs.rest.serializers import SummarySerializer
from rainbow_site.web.rest.admission import ANY, admitted, cluster_named, shown
from rainbow_site.web.rest.schema import BY_ANYBODY, answers

_OF_THE_CLUSTER = (
    "name", "registered_at", "not_ready", "paused_at", "paused_reason", "paused_by", "facts_at",
)  # fmt: skip


class Clusters(APIView):
    @extend_schema(
        operation_id="list_clusters",
        summary="List clusters",
        auth=BY_ANYBODY,
        tags=["clusters"],
        responses=answers({200: SummarySerializer(many=True)}),
    )
    def get(self, request: Request) -> Response:
        """Returns clusters with their summaries: all of them for operators, without the pools and without facts; for a
        credential its own cluster, or its pool and the clusters of that.
        """
        by = admitted(request, ANY, staff=VIEW_CLUSTERS)
        return Response([shown(SummarySerializer, one) for one in summaries_of(_visible(by), by)])


class ClusterDetail(APIView):
    @extend_schema(
        operation_id="get_cluster",
        summary="Get a cluster",
        auth=BY_ANYBODY,
        tags=["clusters"],
        responses=answers({200: SummarySerializer}),
    )
    def get(self, request: Request, cluster: str) -> Response:
        """Returns a cluster with its job counts by state, what is wrong with it in words, and its facts."""
        by = admitted(request, ANY, staff=VIEW_CLUSTERS, cluster=cluster)
        return Response(shown(SummarySerializer, summaries_of([cluster_named(cluster)], by)[0]))


def _visible(by: Caller | Operator) -> QuerySet[Cluster]:
    clusters = Cluster.objects.order_by("name")
    # Facts may be long. A credential reaches few clusters, an operator any number.
    return (
        clusters.filter(id__in=reach_of(by)) if isinstance(by, Caller) else clusters.filter(pool=False).defer("facts")
    )


def summaries_of(clusters: Sequence[Cluster] | QuerySet[Cluster], by: Caller | Operator) -> list[dict[str, Any]]:
    now = timezone.now()
    found = {cluster.id: cluster for cluster in clusters}
    members = members_by_pool(cluster.id for cluster in found.values() if cluster.pool)
    asked = {cluster.id: cluster.last_asked_at for cluster in found.values()}
    asked |= {pool_id: last_asked_at(clusters) for pool_id, clusters in members.items()}
    held = _held_back(found, members, by)
    return [
        {
            **{name: getattr(found[summary.cluster_id], name) for name in _OF_THE_CLUSTER},
            "last_asked_at": asked[summary.cluster_id],
            "jobs": {state.value: number for state, number in summary.counts.items()},
            "oldest_submitted_at": summary.oldest_submitted_at,
            "warning": _warning(found[summary.cluster_id], asked[summary.cluster_id], now),
            "held_back": held.get(summary.cluster_id, []),
            "facts": _facts(found[summary.cluster_id]),
        }
        for summary in summarize_jobs(cluster_ids=list(found))
    ]


def _facts(cluster: Cluster) -> Facts | None:
    return None if "facts" in cluster.get_deferred_fields() else Facts.read(cluster.facts)


def _held_back(
    clusters: Iterable[int], members: Mapping[int, Sequence[PoolMember]], by: Caller | Operator
) -> dict[int, list[dict[str, Any]]]:
    """By cluster or pool: a pool's are those of its clusters. A token of a pool reaches none of these itself."""
    if isinstance(by, Caller):
        streaks = held_back_of(by)
        if by.kind in OF_CLUSTERS:
            return {by.cluster_id: [_held(one) for one in streaks]}
    else:
        streaks = held_back(cluster_ids={*clusters, *(one.cluster_id for pool in members.values() for one in pool)})
    places = {
        cluster_id: {cluster_id, *(one.cluster_id for one in members.get(cluster_id, ()))} for cluster_id in clusters
    }
    return {place: [_held(one) for one in streaks if one.cluster_id in those] for place, those in places.items()}


def _held(streak: Streak) -> dict[str, Any]:
    return {"token": streak.credential.label, "reason": streak.why, "held_at": streak.held_at}


def _warning(cluster: Cluster, asked_at: datetime | None, now: datetime) -> str:
    return warn(
        cluster=cluster.name,
        pool=cluster.pool,
        last_asked_at=asked_at,
        paused_reason=cluster.paused_reason,
        not_ready=cluster.not_ready,
        now=now,
    )
