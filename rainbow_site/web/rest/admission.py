from typing import Any

from rest_framework.exceptions import NotAuthenticated, PermissionDenied, ValidationError
from rest_framework.request import Request
from rest_framework.serializers import BaseSerializer

from clusters.callers import Caller, Operator
from clusters.models import Cluster, CredentialKind
from clusters.services.authenticate import requirement
from clusters.services.values import REQUEST_DENIED
from rainbow.errors import NotFound, Unauthenticated
from rainbow.telemetry.request_ids import request_id_of
from rainbow_site.web.rest.authentication import refusals_counted

SECRET = frozenset({CredentialKind.SECRET})
SUBMITTERS = frozenset(CredentialKind) - SECRET
ANY = frozenset(CredentialKind)

# For answers with a credential in them (RFC 9111, section 5.2.2.5).
NO_STORE = {"Cache-Control": "no-store"}

# Serializers, by their classes.
_made: dict[type[BaseSerializer[Any]], BaseSerializer[Any]] = {}


def admitted(
    request: Request, kinds: frozenset[CredentialKind], *, staff: str, cluster: str | None = None
) -> Caller | Operator:
    """The caller: the holder of a credential of these kinds, or staff with a permission.

    A credential is limited to its own cluster. Raises Unauthenticated, NotAuthenticated, PermissionDenied.
    """
    if isinstance(request.auth, Caller) or not request.user.is_authenticated:
        return holder(request, kinds, cluster=cluster)
    return admitted_operator(request, staff=staff)


def admitted_operator(request: Request, *, staff: str) -> Operator:
    """Raises Unauthenticated, NotAuthenticated, PermissionDenied."""
    user = request.user
    if isinstance(request.auth, Caller):
        raise Unauthenticated(REQUEST_DENIED)
    if not user.is_authenticated:
        raise NotAuthenticated("a signed-in operator is required")
    if not (user.is_staff and user.has_perm(staff)):
        raise PermissionDenied("the account lacks the permission for this call")
    return Operator(user_id=user.pk, name=user.get_username(), request_id=request_id_of(request))


def holder(request: Request, kinds: frozenset[CredentialKind], *, cluster: str | None = None) -> Caller:
    """Raises Unauthenticated, NotAuthenticated."""
    if not isinstance(request.auth, Caller):
        raise NotAuthenticated(requirement(kinds))
    with refusals_counted(request):
        if request.auth.kind not in kinds or cluster not in (None, request.auth.cluster):
            raise Unauthenticated(REQUEST_DENIED)
    return request.auth


def person(request: Request) -> Operator:
    """The person who calls: with a personal token that is not narrowed, or signed in on a page.

    Raises Unauthenticated, NotAuthenticated, PermissionDenied.
    """
    if isinstance(request.auth, Caller):
        caller = holder(request, frozenset({CredentialKind.PERSONAL}))
        if caller.narrowed_to or caller.scopes:
            raise PermissionDenied("a token that is narrowed cannot do this")
        assert caller.person_id is not None
        return Operator(user_id=caller.person_id, name=caller.person, request_id=caller.request_id)
    if not request.user.is_authenticated:
        raise NotAuthenticated("a personal token or a signed-in person is required")
    return Operator(user_id=request.user.pk, name=request.user.get_username(), request_id=request_id_of(request))


def read(kind: type[BaseSerializer[Any]], data: Any) -> dict[str, Any]:
    """Raises ValidationError."""
    if data is None:
        raise ValidationError("No data provided")
    return dict(_kept(kind).run_validation(data))


def shown(kind: type[BaseSerializer[Any]], value: object) -> Any:
    """What a serializer without a context says."""
    return _kept(kind).to_representation(value)


def _kept(kind: type[BaseSerializer[Any]]) -> BaseSerializer[Any]:
    """One for all calls, which change nothing of it: to make its fields costs more than to use them."""
    return _made.get(kind) or _made.setdefault(kind, kind())


def cluster_named(name: str) -> Cluster:
    """Raises NotFound. Only operators can see that: a credential is refused for other clusters before."""
    try:
        return Cluster.objects.get(name=name)
    except Cluster.DoesNotExist:
        raise NotFound("there is no such cluster") from None
