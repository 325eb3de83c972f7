from typing import Any

from rest_framework.authentication import BaseAuthentication
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.serializers import BaseSerializer
from rest_framework.views import APIView

from clusters.callers import Caller
from jobs.iri.problems import answer_failure
from rainbow_site.web.rest.admission import SUBMITTERS, holder, read
from rainbow_site.web.rest.authentication import BearerAuthentication
from rainbow_site.web.rest.parsers import BoundedJSONParser


class FacilityView(APIView):
    """A call of the IRI Facility API: a bearer token, JSON both ways, and problem documents as its schema has them.

    Its contract is the published schema, so that the one of our REST API leaves it out.
    """

    schema = None
    authentication_classes: list[type[BaseAuthentication]] = [BearerAuthentication]
    parser_classes: list[type[BaseParser]] = [BoundedJSONParser]
    renderer_classes: list[type[BaseRenderer]] = [JSONRenderer]

    def get_exception_handler(self) -> Any:
        return answer_failure


def submitter(request: Request, *, cluster: str | None = None) -> Caller:
    """Raises Unauthenticated, NotAuthenticated."""
    return holder(request, SUBMITTERS, cluster=cluster)


def query(kind: type[BaseSerializer[Any]], request: Request) -> dict[str, Any]:
    """Raises ValidationError."""
    return read(kind, {name: request.query_params[name] for name in request.query_params})
