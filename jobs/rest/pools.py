from collections.abc import Sequence
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from clusters.models import Cluster
from jobs.queries.pools import members_by_pool
from jobs.rest.clusters import summaries_of
from jobs.rest.permissions import CHANGE_CLUSTERS, MANAGE_CREDENTIALS, VIEW_CLUSTERS
from jobs.rest.pool_serializers import ChangePoolSerializer, NewPoolSerializer, PoolSerializer, PoolWithTokenSerializer
from jobs.services.pools import Member, change_pool, create_pool
from rainbow.errors import NotFound
from rainbow_site.web.rest.admission import NO_STORE, admitted_operator, read
from rainbow_site.web.rest.schema import BY_OPERATOR, answers

_MEMBERS = [{"cluster": "keebler"}, {"cluster": "oreo", "after_seconds": 300}]


class Pools(APIView):
    @extend_schema(
        operation_id="list_pools",
        summary="List pools",
        auth=BY_OPERATOR,
        tags=["pools"],
        responses=answers({200: PoolSerializer(many=True)}),
    )
    def get(self, request: Request) -> Response:
        """Returns all pools with their clusters and the jobs that wait in them. Needs an operator."""
        by = admitted_operator(request, staff=VIEW_CLUSTERS)
        pools = list(Cluster.objects.filter(pool=True).order_by("name"))
        return Response(PoolSerializer(_shown(pools, summaries_of(pools, by)), many=True).data)

    @extend_schema(
        operation_id="create_pool",
        summary="Create a pool",
        auth=BY_OPERATOR,
        tags=["pools"],
        request=NewPoolSerializer,
        responses=answers({201: PoolWithTokenSerializer}, 409, body=True),
        examples=[OpenApiExample("two clusters", value={"name": "any", "members": _MEMBERS}, request_only=True)],
    )
    def post(self, request: Request) -> Response:
        """Creates a pool of clusters and returns its first token, which is only in this answer.

        Needs an operator who may change clusters and manage credentials.
        """
        admitted_operator(request, staff=MANAGE_CREDENTIALS)
        by = admitted_operator(request, staff=CHANGE_CLUSTERS)
        data = read(NewPoolSerializer, request.data)
        members = _members(data)
        new = create_pool(name=data["name"], members=members, by=by, reason=data["reason"], now=timezone.now())
        shown = {**_shown([new.pool], summaries_of([new.pool], by))[0], "token": new.token.value}
        return Response(PoolWithTokenSerializer(shown).data, status=status.HTTP_201_CREATED, headers=NO_STORE)


class PoolDetail(APIView):
    @extend_schema(
        operation_id="get_pool",
        summary="Get a pool",
        auth=BY_OPERATOR,
        tags=["pools"],
        responses=answers({200: PoolSerializer}),
    )
    def get(self, request: Request, pool: str) -> Response:
        """Returns a pool with its clusters and the jobs that wait in it. Needs an operator."""
        by = admitted_operator(request, staff=VIEW_CLUSTERS)
        found = [_named(pool)]
        return Response(PoolSerializer(_shown(found, summaries_of(found, by))[0]).data)

    @extend_schema(
        operation_id="change_pool",
        summary="Change the clusters of a pool",
        auth=BY_OPERATOR,
        tags=["pools"],
        request=ChangePoolSerializer,
        responses=answers({200: PoolSerializer}, body=True),
        examples=[OpenApiExample("two clusters", value={"members": _MEMBERS}, request_only=True)],
    )
    def put(self, request: Request, pool: str) -> Response:
        """Replaces the clusters of a pool, their order and delays, also for the jobs that wait. Needs an operator."""
        by = admitted_operator(request, staff=CHANGE_CLUSTERS)
        found = _named(pool)
        data = read(ChangePoolSerializer, request.data)
        change_pool(pool_id=found.id, members=_members(data), by=by, reason=data["reason"], now=timezone.now())
        return Response(PoolSerializer(_shown([found], summaries_of([found], by))[0]).data)


def _named(name: str) -> Cluster:
    """Raises NotFound."""
    found = Cluster.objects.filter(name=name, pool=True).first()
    if found is None:
        raise NotFound("there is no such pool")
    return found


def _members(data: dict[str, Any]) -> list[Member]:
    return [Member(**member) for member in data["members"]]


def _shown(pools: Sequence[Cluster], summaries: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    members = members_by_pool(pool.id for pool in pools)
    of_pool = {pool.name: members[pool.id] for pool in pools}
    return [{**summary, "members": of_pool[summary["name"]]} for summary in summaries]
