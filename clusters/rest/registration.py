from django.conf import settings
from django.utils import timezone
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import status
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from clusters.rest.serializers import RegisteredSerializer, RegisterSerializer
from clusters.services.register import FOR_DEVELOPMENT, check_registration_secret, register_cluster
from rainbow.errors import AlreadyExists, PermissionDenied
from rainbow_site.web.rest.addresses import is_from_this_machine
from rainbow_site.web.rest.admission import NO_STORE, read
from rainbow_site.web.rest.authentication import RegistrationAuthentication, bearer_in, refusals_counted
from rainbow_site.web.rest.schema import BY_REGISTRATION_SECRET, answers


class Register(APIView):
    authentication_classes = [RegistrationAuthentication]
    permission_classes = [AllowAny]

    @extend_schema(
        operation_id="register_cluster",
        summary="Register a cluster",
        auth=BY_REGISTRATION_SECRET,
        tags=["clusters"],
        request=RegisterSerializer,
        responses=answers({201: RegisteredSerializer}, 409, body=True),
        examples=[
            OpenApiExample("a cluster", value={"name": "keebler"}, request_only=True),
            OpenApiExample(
                "its credentials",
                value={"name": "keebler", "token": "rbt_…", "secret": "rbs_…"},
                response_only=True,
                status_codes=["201"],
            ),
        ],
    )
    def post(self, request: Request) -> Response:
        """Registers a cluster and returns its first token and secret, which are only in this answer. Needs the
        registration secret.
        """
        secrets = {
            "offered_secret": bearer_in(request) or "",
            "registration_secret": settings.RAINBOW_REGISTRATION_SECRET,
        }
        # Authentication comes before validation, as in all calls.
        with refusals_counted(request, guessable=True):
            check_registration_secret(**secrets)
        _check_secret_may_serve(request)
        name = read(RegisterSerializer, request.data)["name"]
        registration = register_cluster(name=name, **secrets, now=timezone.now())
        if registration is None:
            raise AlreadyExists("a cluster of this name is registered", field="name")
        content = {"name": name, "token": registration.token, "secret": registration.secret}
        return Response(content, status=status.HTTP_201_CREATED, headers=NO_STORE)


def _check_secret_may_serve(request: Request) -> None:
    """Raises PermissionDenied: the development secret is public, and this server can be reached from elsewhere."""
    if settings.RAINBOW_REGISTRATION_SECRET == settings.DEVELOPMENT_SECRET and not is_from_this_machine(request):
        raise PermissionDenied(FOR_DEVELOPMENT)
