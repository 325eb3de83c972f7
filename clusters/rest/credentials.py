from datetime import timedelta

from django.utils import timezone
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from clusters.models import Credential, CredentialKind
from clusters.rest.serializers import (
    CredentialSerializer,
    CredentialValueSerializer,
    NewCredentialSerializer,
    RotateSerializer,
)
from clusters.services.credentials import NewCredential, create_credential, revoke_credential, rotate_credential
from rainbow.errors import NotFound
from rainbow_site.web.rest.admission import NO_STORE, SECRET, admitted, cluster_named, read
from rainbow_site.web.rest.reasons import OptionalReasonSerializer
from rainbow_site.web.rest.schema import BY_OPERATOR, BY_SECRET, answers

_VIEW, _MANAGE = "clusters.view_credential", "clusters.manage_credential"
_MOST_LISTED = 1_000
_NEW = {"kind": "token", "label": "physics", "expires_at": "2027-06-30T00:00:00Z"}


class Credentials(APIView):
    @extend_schema(
        operation_id="list_credentials",
        summary="List the credentials of a cluster",
        auth=[*BY_SECRET, *BY_OPERATOR],
        tags=["credentials"],
        responses=answers({200: CredentialSerializer(many=True)}),
    )
    def get(self, request: Request, cluster: str) -> Response:
        """Returns the cluster's newest 1,000 credentials, without their values. Needs the cluster's secret, or an
        operator.
        """
        admitted(request, SECRET, staff=_VIEW, cluster=cluster)
        newest = cluster_named(cluster).credentials.select_related("issued_by").order_by("-id")[:_MOST_LISTED]
        credentials = sorted(newest, key=lambda one: (one.kind, one.label, one.id))
        return Response(CredentialSerializer(credentials, many=True).data)

    @extend_schema(
        operation_id="create_credential",
        summary="Create a token or a secret",
        auth=[*BY_SECRET, *BY_OPERATOR],
        tags=["credentials"],
        request=NewCredentialSerializer,
        responses=answers({201: CredentialValueSerializer}, 409, body=True),
        examples=[OpenApiExample("a token for a group", value=_NEW, request_only=True)],
    )
    def post(self, request: Request, cluster: str) -> Response:
        """Adds a credential; its value is only in this answer. Needs the cluster's secret, or an operator."""
        by = admitted(request, SECRET, staff=_MANAGE, cluster=cluster)
        data = read(NewCredentialSerializer, request.data)
        kind = CredentialKind(data.pop("kind"))
        new = create_credential(cluster=cluster_named(cluster), kind=kind, by=by, now=timezone.now(), **data)
        return _shown_once(new, status.HTTP_201_CREATED)


class Rotate(APIView):
    @extend_schema(
        operation_id="rotate_credential",
        summary="Rotate a credential",
        auth=[*BY_SECRET, *BY_OPERATOR],
        tags=["credentials"],
        request=RotateSerializer,
        responses=answers({200: CredentialValueSerializer}, 409, body=True),
        examples=[OpenApiExample("an hour to change over", value={"grace_seconds": 3600}, request_only=True)],
    )
    def post(self, request: Request, cluster: str, credential: int) -> Response:
        """Gives a credential a new value, which is only in this answer. Needs the cluster's secret, or an operator.

        The old value keeps working for `grace_seconds`; at most 10 replaced values work at a time. A grace of 0 ends
        all replaced values at once.
        """
        by = admitted(request, SECRET, staff=_MANAGE, cluster=cluster)
        data = read(RotateSerializer, request.data)
        old = _credential(cluster, credential)
        new = rotate_credential(
            cluster_id=old.home.id,
            kind=CredentialKind(old.kind),
            label=old.label,
            grace=timedelta(seconds=data["grace_seconds"]),
            by=by,
            reason=data["reason"],
            now=timezone.now(),
        )
        return _shown_once(new, status.HTTP_200_OK)


class Revoke(APIView):
    @extend_schema(
        operation_id="revoke_credential",
        summary="Revoke a credential",
        auth=[*BY_SECRET, *BY_OPERATOR],
        tags=["credentials"],
        request=OptionalReasonSerializer,
        responses=answers({200: CredentialSerializer}, 409, body=True),
        examples=[OpenApiExample("a reason", value={"reason": "it leaked"}, request_only=True)],
    )
    def post(self, request: Request, cluster: str, credential: int) -> Response:
        """Revokes a credential for good, with immediate effect. Needs the cluster's secret, or an operator."""
        by = admitted(request, SECRET, staff=_MANAGE, cluster=cluster)
        reason = read(OptionalReasonSerializer, request.data)["reason"]
        revoke_credential(credential=_credential(cluster, credential), by=by, reason=reason, now=timezone.now())
        return Response(CredentialSerializer(_credential(cluster, credential)).data)


def _credential(cluster: str, number: int) -> Credential:
    try:
        return Credential.objects.select_related("issued_by", "cluster").get(id=number, cluster__name=cluster)
    except Credential.DoesNotExist:
        raise NotFound("the cluster has no such credential") from None


def _shown_once(new: NewCredential, code: int) -> Response:
    shown = {**CredentialSerializer(new.credential).data, "value": new.value}
    return Response(shown, status=code, headers=NO_STORE)
