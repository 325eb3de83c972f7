from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from django.conf import settings
from django.utils import timezone
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request

from clusters.callers import Caller, Claim
from clusters.services.authenticate import admit, note_visits
from clusters.services.throttle import failures_counted, source_at
from rainbow.certificates import clusters_certified
from rainbow.errors import Unauthenticated
from rainbow.telemetry.request_ids import TRACE_META_KEY, request_id_of
from rainbow_site.web.rest.addresses import address_of

# In the WSGI environment, by the web server: SSLSocket.getpeercert(), None where the client presented none.
PEER_CERTIFICATE = "rainbow.peer_certificate"
_SCHEME = b"bearer"


class Holder:
    """The holder of a credential, in the place of Django's user."""

    is_authenticated = True
    is_anonymous = False
    is_active = True
    is_staff = False
    pk = None

    def __init__(self, caller: Caller) -> None:
        self.username = f"{caller.cluster} {caller.who}".strip()


class BearerAuthentication(BaseAuthentication):
    """`Authorization: Bearer` with a token or a secret (RFC 6750, section 2.1)."""

    # Set where a call changes nothing, whatever its method is.
    only_reads = False

    def authenticate(self, request: Request) -> tuple[Holder, Caller] | None:
        value = bearer_in(request)
        if value is None:
            return None
        now = timezone.now()
        with refusals_counted(request):
            claim = claim_in(request, value, cluster=_cluster_in(request))
            caller = admit(replace(claim, reads=claim.reads or self.only_reads), now=now)
        if caller.use_is_worth_noting(now):
            note_visits(used=[caller.credential_id], asked={}, now=now)
        return Holder(caller), caller

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


def bearer_in(request: Request) -> str | None:
    """The value after `Authorization: Bearer`; None when the header is missing or of another scheme."""
    scheme, _, value = get_authorization_header(request).partition(b" ")
    return value.strip().decode(errors="replace") if scheme.lower() == _SCHEME else None


def claim_in(request: Request, value: str, *, cluster: str | None = None) -> Claim:
    return Claim(
        value=value,
        cluster=cluster,
        certified=_certified(request),
        reads=request.method in SAFE_METHODS,
        request_id=request_id_of(request),
        traceparent=request.META.get(TRACE_META_KEY, ""),
    )


def _certified(request: Request) -> frozenset[str] | None:
    """The clusters that the client's certificate is for: none without one, where agents need one."""
    presented = request.META.get(PEER_CERTIFICATE)
    if not presented:
        return frozenset() if settings.RAINBOW_WEB_CLIENT_CERTIFICATES else None
    names = presented.get("subjectAltName", ())
    dns_names, uris = ([value for found, value in names if found == kind] for kind in ("DNS", "URI"))
    return clusters_certified(dns_names=dns_names, uris=uris)


@contextmanager
def refusals_counted(request: Request, *, guessable: bool = False) -> Iterator[None]:
    """Counts a refused credential per address and per cluster. Raises LimitReached past the limit."""
    if guessable:
        sources = [source_at(address_of(request), registering=True)]
        with failures_counted(sources, now=timezone.now(), guessable=True):
            yield
        return
    try:
        yield
    except Unauthenticated:
        # The address of a caller is only worked out for a call that is refused.
        with failures_counted(_sources(request), now=timezone.now()):
            raise


def _sources(request: Request) -> list[str]:
    cluster = _cluster_in(request)
    return [source_at(address_of(request)), *([f"cluster {cluster}"] if cluster else [])]


def _cluster_in(request: Request) -> str | None:
    named: str | None = (request.parser_context or {}).get("kwargs", {}).get("cluster")
    return named


class ReadingBearerAuthentication(BearerAuthentication):
    """For POST with which a long question is asked, so that tokens which may only read may ask it."""

    only_reads = True


class RegistrationAuthentication(BaseAuthentication):
    """Only for the WWW-Authenticate header: the service compares the registration secret."""

    def authenticate(self, request: Request) -> None:
        return None

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"
