"""Clusters with their queues: how they fare, what waits, and taking it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from clusters.callers import Bounds, Caller, Operator
from clusters.models import Cluster
from clusters.rest.frame import EITHER, SECRET, admitted, cluster_named, holder, read
from clusters.rest.schema import answers
from clusters.services import note_visits
from jobs.rest.serializers import AcceptanceSerializer, AcceptSerializer, QueueSerializer, SummarySerializer
from jobs.rest.waiting import QueueQuerySerializer, bounds_from, look
from jobs.services import accept_jobs, summarize_jobs, warn

_VIEW = "clusters.view_cluster"


class Clusters(APIView):
    @extend_schema(
        operation_id="list_clusters", tags=["clusters"], responses=answers({200: SummarySerializer(many=True)})
    )
    def get(self, request: Request) -> Response:
        """Clusters with their summaries: all for operators, with a credential its own."""
        by = admitted(request, EITHER, staff=_VIEW)
        return Response(SummarySerializer(_summaries(_visible(by)), many=True).data)


class ClusterDetail(APIView):
    @extend_schema(operation_id="get_cluster", tags=["clusters"], responses=answers({200: SummarySerializer}))
    def get(self, request: Request, cluster: str) -> Response:
        """A cluster with its jobs counted by state, and its health in words."""
        admitted(request, EITHER, staff=_VIEW, cluster=cluster)
        return Response(SummarySerializer(_summaries([cluster_named(cluster)])[0]).data)


class Queue(APIView):
    @extend_schema(
        operation_id="request_jobs",
        tags=["queue"],
        parameters=[QueueQuerySerializer],
        responses=answers({200: QueueSerializer}),
    )
    def get(self, request: Request, cluster: str) -> Response:
        """The cluster's waiting jobs in the order of its queue; reserves nothing. Needs its secret.

        With wait_seconds an empty answer is held back until jobs arrive or the time is over.
        """
        caller = holder(request, SECRET, cluster=cluster)
        query = read(QueueQuerySerializer, request.query_params)
        _note_asking(caller, bounds_from(query))
        jobs = look(caller, query)
        return Response(QueueSerializer({"jobs": jobs, "paused": caller.paused_reason}).data)


class Accept(APIView):
    @extend_schema(
        operation_id="accept_jobs",
        tags=["queue"],
        request=AcceptSerializer,
        responses=answers({200: AcceptanceSerializer}, body=True),
        examples=[OpenApiExample("two jobs", value={"ids": [12, 13], "agent": "login-1"}, request_only=True)],
    )
    def post(self, request: Request, cluster: str) -> Response:
        """Takes waiting jobs off the queue, and says of each id that it could not take why not. Needs the secret."""
        caller = holder(request, SECRET, cluster=cluster)
        data = read(AcceptSerializer, request.data)
        acceptance = accept_jobs(caller=caller, job_ids=data.pop("ids"), now=timezone.now(), **data)
        return Response(AcceptanceSerializer(acceptance).data)


def _visible(by: Caller | Operator) -> QuerySet[Cluster]:
    clusters = Cluster.objects.order_by("name")
    return clusters.filter(id=by.cluster_id) if isinstance(by, Caller) else clusters


def _summaries(clusters: Sequence[Cluster] | QuerySet[Cluster]) -> list[dict[str, Any]]:
    now = timezone.now()
    found = {cluster.id: cluster for cluster in clusters}
    return [
        {
            **{name: getattr(found[summary.cluster_id], name) for name in _OF_THE_CLUSTER},
            "jobs": {state.value: number for state, number in summary.counts.items()},
            "oldest_submitted_at": summary.oldest_submitted_at,
            "warning": _warning(found[summary.cluster_id], now),
        }
        for summary in summarize_jobs(cluster_ids=list(found))
    ]


def _warning(cluster: Cluster, now: datetime) -> str:
    return warn(
        cluster=cluster.name,
        last_asked_at=cluster.last_asked_at,
        paused_reason=cluster.paused_reason,
        now=now,
    )


_OF_THE_CLUSTER = ("name", "registered_at", "last_asked_at", "paused_at", "paused_reason", "paused_by")


def _note_asking(caller: Caller, bounds: Bounds) -> None:
    now = timezone.now()
    if caller.asking_is_worth_noting(now):
        note_visits(used=[caller.credential_id], asked={caller.cluster_id: bounds}, now=now)
