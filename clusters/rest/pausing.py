"""Holding back a cluster's jobs."""

from django.utils import timezone
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from clusters.rest.frame import SECRET, admitted, cluster_named, read
from clusters.rest.schema import BY_OPERATOR, BY_SECRET, answers
from clusters.rest.serializers import ClusterSerializer, OptionalReasonSerializer, ReasonSerializer
from clusters.services import pause_cluster, resume_cluster

_STAFF = "clusters.change_cluster"


class Pause(APIView):
    @extend_schema(
        operation_id="pause_cluster",
        auth=[*BY_SECRET, *BY_OPERATOR],
        tags=["clusters"],
        request=ReasonSerializer,
        responses=answers({200: ClusterSerializer}, 409, body=True),
        examples=[OpenApiExample("a reason", value={"reason": "maintenance until noon"}, request_only=True)],
    )
    def post(self, request: Request, cluster: str) -> Response:
        """Stops handing out the cluster's jobs; submitting goes on. Needs its secret, or an operator."""
        by = admitted(request, SECRET, staff=_STAFF, cluster=cluster)
        found = cluster_named(cluster)
        reason = read(ReasonSerializer, request.data)["reason"]
        pause_cluster(cluster_id=found.id, reason=reason, by=by, now=timezone.now())
        return Response(ClusterSerializer(cluster_named(cluster)).data)


class Resume(APIView):
    @extend_schema(
        operation_id="resume_cluster",
        auth=[*BY_SECRET, *BY_OPERATOR],
        tags=["clusters"],
        request=OptionalReasonSerializer,
        responses=answers({200: ClusterSerializer}, 409, body=True),
        examples=[OpenApiExample("a reason", value={"reason": "the maintenance is over"}, request_only=True)],
    )
    def post(self, request: Request, cluster: str) -> Response:
        """Hands out the cluster's jobs again. Needs its secret, or an operator."""
        by = admitted(request, SECRET, staff=_STAFF, cluster=cluster)
        reason = read(OptionalReasonSerializer, request.data)["reason"]
        resume_cluster(cluster_id=cluster_named(cluster).id, by=by, reason=reason, now=timezone.now())
        return Response(ClusterSerializer(cluster_named(cluster)).data)
