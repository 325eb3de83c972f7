from urllib.parse import urlencode

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from clusters.models import ClusterEvent
from clusters.rest.serializers import ClusterEventPageSerializer
from clusters.services.events import list_events
from rainbow_site.web.rest.admission import SECRET, admitted, cluster_named, read, shown
from rainbow_site.web.rest.fields import Digits, Query
from rainbow_site.web.rest.schema import BY_OPERATOR, BY_SECRET, answers

_STAFF = "clusters.view_cluster"
_MAX_ID = 2**63 - 1


class EventsQuerySerializer(Query):
    page_size = Digits(min_value=1, max_value=1_000, default=100)
    cursor = Digits(min_value=1, max_value=_MAX_ID, default=0, help_text="as in `next` of the previous page")


class ClusterEvents(APIView):
    @extend_schema(
        operation_id="list_cluster_events",
        summary="List the events of a cluster",
        auth=[*BY_SECRET, *BY_OPERATOR],
        tags=["clusters"],
        parameters=[EventsQuerySerializer],
        responses=answers({200: ClusterEventPageSerializer}),
    )
    def get(self, request: Request, cluster: str) -> Response:
        """Returns the events of a cluster, newest first: who registered it, created, rotated and revoked its
        credentials, paused and resumed it, and why.

        Needs its secret, or an operator.
        """
        admitted(request, SECRET, staff=_STAFF, cluster=cluster)
        query = read(EventsQuerySerializer, request.query_params)
        found = list_events(cluster_id=cluster_named(cluster).id, before=query["cursor"], most=query["page_size"] + 1)
        page = {"next": _next(request, found, query["page_size"]), "results": found[: query["page_size"]]}
        return Response(shown(ClusterEventPageSerializer, page))


def _next(request: Request, found: list[ClusterEvent], size: int) -> str | None:
    if len(found) <= size:
        return None
    query = urlencode({"page_size": size, "cursor": found[size - 1].id})
    return f"{request.build_absolute_uri(request.path)}?{query}"
