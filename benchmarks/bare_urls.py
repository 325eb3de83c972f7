from django.urls import path
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from rainbow_site.urls import handler400, handler500
from rainbow_site.urls import urlpatterns as rainbows

__all__ = ["handler400", "handler500", "urlpatterns"]


class Bare(APIView):
    """What REST framework itself costs, in the same server, behind the same middleware."""

    authentication_classes = ()

    def get(self, request: Request) -> Response:
        return Response({"bare": True})


urlpatterns = [path("bare", Bare.as_view()), *rainbows]
