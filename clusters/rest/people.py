"""Who calls, and the tokens of people."""

from dataclasses import asdict
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from clusters.models import Credential, Holder
from clusters.queries.allowances import used_by
from clusters.queries.people import projects_of_person
from clusters.rest.people_serializers import (
    MeSerializer,
    NewTokenSerializer,
    TokenSerializer,
    TokenValueSerializer,
)
from clusters.services.credentials import NewCredential
from clusters.services.personal_tokens import (
    Wish,
    create_personal_token,
    create_project_token,
    revoke_token,
    tokens_of_person,
)
from clusters.services.projects import Change, project_managed
from rainbow_site.web.rest.admission import NO_STORE, person, read, shown
from rainbow_site.web.rest.reasons import OptionalReasonSerializer
from rainbow_site.web.rest.schema import BY_PERSON, answers

_NEW = {"label": "nightly", "days": 30, "project": "chem", "reads_only": False}


class Me(APIView):
    @extend_schema(
        operation_id="get_me",
        summary="Get who calls",
        auth=BY_PERSON,
        tags=["people"],
        responses=answers({200: MeSerializer}),
    )
    def get(self, request: Request) -> Response:
        """Returns the person who calls, and their projects with the clusters and pools that these may use.

        Limits are beside what is used of them.
        """
        by, now = person(request), timezone.now()
        projects = projects_of_person(by.user_id)
        used = used_by(Holder.PROJECT, [one.id for one in projects], now=now)
        me = {
            "person": by.name,
            "limits": used_by(Holder.PERSON, [by.user_id], now=now)[by.user_id],
            "projects": [{**asdict(one), "limits": used[one.id]} for one in projects],
        }
        return Response(shown(MeSerializer, me))


class Tokens(APIView):
    @extend_schema(
        operation_id="list_tokens",
        summary="List my tokens",
        auth=BY_PERSON,
        tags=["people"],
        responses=answers({200: TokenSerializer(many=True)}),
    )
    def get(self, request: Request) -> Response:
        """Returns the person's tokens that work, the newest first, without their values."""
        tokens = tokens_of_person(person(request).user_id, now=timezone.now())
        return Response(TokenSerializer(map(_shown, tokens), many=True).data)

    @extend_schema(
        operation_id="create_token",
        summary="Create a token",
        auth=BY_PERSON,
        tags=["people"],
        request=NewTokenSerializer,
        responses=answers({201: TokenValueSerializer}, 409, body=True),
        examples=[OpenApiExample("a token for a script", value=_NEW, request_only=True)],
    )
    def post(self, request: Request) -> Response:
        """Makes a token of the person, or of a project that they lead; its value is only in this answer."""
        change = Change(by=person(request), now=timezone.now())
        new = _made(read(NewTokenSerializer, request.data), change)
        token = {**_shown(new.credential), "value": new.value}
        return Response(shown(TokenValueSerializer, token), status=status.HTTP_201_CREATED, headers=NO_STORE)


class RevokeToken(APIView):
    @extend_schema(
        operation_id="revoke_token",
        summary="Revoke a token",
        auth=BY_PERSON,
        tags=["people"],
        request=OptionalReasonSerializer,
        responses=answers({204: None}, 409, body=True),
        examples=[OpenApiExample("a reason", value={"reason": "lost the laptop"}, request_only=True)],
    )
    def post(self, request: Request, token: int) -> Response:
        """Revokes a token for good, at once: the person's own, or of a project that they lead."""
        by = person(request)
        reason = read(OptionalReasonSerializer, request.data)["reason"]
        revoke_token(credential_id=token, change=Change(by=by, now=timezone.now(), reason=reason))
        return Response(status=status.HTTP_204_NO_CONTENT)


def _made(said: dict[str, Any], change: Change) -> NewCredential:
    wish = Wish(label=said["label"], days=said["days"], clusters=said["clusters"], reads_only=said["reads_only"])
    if said["for_project"]:
        return create_project_token(project_id=project_managed(said["project"], change.by).id, wish=wish, change=change)
    return create_personal_token(wish=wish, project=said["project"], change=change)


def _shown(token: Credential) -> dict[str, Any]:
    return {
        "id": token.id,
        "label": token.label,
        "project": token.project.name if token.project else "",
        "clusters": sorted(scope.cluster.name for scope in token.scopes.all()),
        "reads_only": token.reads_only,
        "created_at": token.created_at,
        "last_used_at": token.last_used_at,
        "expires_at": token.expires_at,
    }
