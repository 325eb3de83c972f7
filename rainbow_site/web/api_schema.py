from functools import cache

from django.http import HttpResponse
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularAPIView
from rest_framework.request import Request


class ApiSchema(SpectacularAPIView):
    """Cached, since generating it is slower than any other response, and the query does not change it."""

    authentication_classes = []

    @extend_schema(exclude=True)
    def get(self, request: Request, *args: object, **kwargs: object) -> HttpResponse:
        media_type = str(request.accepted_renderer.media_type)
        return HttpResponse(_written(media_type), content_type=media_type)


@cache
def _written(media_type: str) -> str | bytes:
    renderer = next(kind() for kind in ApiSchema.renderer_classes if kind.media_type == media_type)
    schema = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    written: str | bytes = renderer.render(schema, renderer_context={})
    return written
