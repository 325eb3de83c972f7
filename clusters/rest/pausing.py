from django.utils import timezone
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from clusters.callers import Caller
from clusters.models import CredentialKind
from clusters.rest.serializers import ClusterSerializer
from clusters.services.pause import pause_cluster, resume_cluster, resume_token
from rainbow_site.web.rest.admission import ANY, SECRET, admitted, cluster_named, read, shown
from rainbow_site.web.rest.reasons import OptionalReasonSerializer, ReasonSerializer
from rainbow_site.web.rest.schema import BY_ANYBODY, BY_OPERATOR, BY_SECRET, answers

_STAFF = "clusters.change_cluster"


class Pause(APIView):
    @extend_schema(
        operation_id="pause_cluster",
        summary="Pause a cluster",
        auth=[*BY_SECRET, *BY_OPERATOR],
        tags=["clusters"],
        request=ReasonSerializer,
        responses=answers({200: ClusterSerializer}, 409, body=True),
        examples=[OpenApiExample("a reason", value={"reason": "maintenance until noon"}, request_only=True)],
    )
    def post(self, request: Request, cluster: str) -> Response:
        """Pauses a cluster: it gets no jobs until it is resumed. Submissions are still accepted. Needs its secret, or
        an operator.
        """
        by = admitted(request, SECRET, staff=_STAFF, cluster=cluster)
        found = cluster_named(cluster)
        reason = read(ReasonSerializer, request.data)["reason"]
        pause_cluster(cluster_id=found.id, reason=reason, by=by, now=timezone.now())
        return Response(shown(ClusterSerializer, cluster_named(cluster)))


class Resume(APIView):
    @extend_schema(
        operation_id="resume_cluster",
        summary="Resume a cluster",
        auth=BY_ANYBODY,
        tags=["clusters"],
        request=OptionalReasonSerializer,
        responses=answers({200: ClusterSerializer}, 409, body=True),
        examples=[OpenApiExample("a reason", value={"reason": "the maintenance is over"}, request_only=True)],
    )
    def post(self, request: Request, cluster: str) -> Response:
        """Resumes a cluster: ends a pause, and releases jobs that are held back because others of their token failed.

        With a token it releases only the jobs submitted with that token, of a pool, a person or a project in any
        cluster, and ends no pause.
        """
        by = admitted(request, ANY, staff=_STAFF, cluster=cluster)
        reason, now = read(OptionalReasonSerializer, request.data)["reason"], timezone.now()
        if isinstance(by, Caller) and by.kind != CredentialKind.SECRET:
            resume_token(by=by, reason=reason, now=now)
        else:
            resume_cluster(cluster_id=cluster_named(cluster).id, by=by, reason=reason, now=now)
        return Response(shown(ClusterSerializer, cluster_named(cluster)))
