"""Clusters and pools as resources of a facility, each at a site of its own."""

from datetime import datetime
from typing import Any

from django.urls import reverse
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer
from rest_framework.status import HTTP_304_NOT_MODIFIED

from clusters.callers import Caller
from clusters.models import OF_CLUSTERS, Cluster
from jobs.iri.job_spec_serializers import NoQuerySerializer, SiteQuerySerializer
from jobs.iri.view import FacilityView, query, submitter
from jobs.queries.clusters import Reached, clusters_in_reach
from jobs.queries.warnings import asks
from rainbow.errors import NotFound

# Of the registered types: a system that takes jobs, and what is more than one.
CLUSTER, POOL = "urn:doe-iri:resource:compute:system", "urn:doe-iri:resource:compute"


class ResourceDetail(FacilityView):
    def get(self, request: Request, cluster: str) -> Response:
        found, _ = _named(request, cluster, NoQuerySerializer)
        return Response(resource(found, request))


class SiteDetail(FacilityView):
    def get(self, request: Request, cluster: str) -> Response:
        found, said = _named(request, cluster, SiteQuerySerializer)
        if (since := said.get("modified_since")) and _modified_at(found.cluster) <= since:
            return Response(status=HTTP_304_NOT_MODIFIED)
        site = {
            "id": found.cluster.name,
            "name": found.cluster.name,
            "last_modified": _modified_at(found.cluster).isoformat(),
            "operating_organization": None,
            "self_uri": _uri(request, "iri-site", cluster),
            "resource_uris": [_uri(request, "iri-resource", cluster)],
        }
        return Response(site)


def resource(reached: Reached, request: Request) -> dict[str, Any]:
    cluster = reached.cluster
    return {
        "id": cluster.name,
        "name": cluster.name,
        "description": reached.warning or None,
        "last_modified": _modified_at(cluster).isoformat(),
        "current_status": _status(reached),
        "resource_type": POOL if cluster.pool else CLUSTER,
        "supported_endpoints": ["compute"],
        "self_uri": _uri(request, "iri-resource", cluster.name),
        "site_uri": _uri(request, "iri-site", cluster.name),
        "capability_uris": [],
    }


def launchable(by: Caller) -> list[Reached]:
    """Where the caller may launch jobs: a cluster's or pool's token there alone."""
    found = clusters_in_reach(by=by, now=timezone.now())
    return found[:1] if by.kind in OF_CLUSTERS else found


def _named(request: Request, name: str, kind: type[Serializer[Any]]) -> tuple[Reached, dict[str, Any]]:
    """With what the query says. Raises NotFound, Unauthenticated, NotAuthenticated, ValidationError."""
    by = submitter(request, cluster=name)
    said = query(kind, request)
    found = next((one for one in launchable(by) if one.cluster.name == name), None)
    if found is None:
        raise NotFound("there is no such resource")
    return found, said


def _status(reached: Reached) -> str:
    """Silence is not failure: of a cluster that does not ask for jobs it is not known how it is."""
    if reached.cluster.paused_at:
        return "down"
    if not asks(reached.last_asked_at, now=timezone.now()):
        return "unknown"
    return "degraded" if reached.warning else "up"


def _modified_at(cluster: Cluster) -> datetime:
    return max(filter(None, [cluster.registered_at, cluster.facts_at, cluster.paused_at]))


def _uri(request: Request, name: str, cluster: str) -> str:
    return request.build_absolute_uri(reverse(name, args=[cluster]))
