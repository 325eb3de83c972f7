import hmac
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from clusters.models import Cluster, ClusterWhat, CredentialKind
from clusters.services.credentials import DEFAULT_LABEL, add_credential
from clusters.services.events import record
from clusters.services.values import REQUEST_DENIED, digest_of
from clusters.validation import check_cluster_name
from rainbow.errors import Unauthenticated

FOR_DEVELOPMENT = (
    "the development registration secret serves the server's own machine only; set RAINBOW_REGISTRATION_SECRET there"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """The credentials of a new cluster, which are not stored."""

    token: str
    secret: str


@transaction.atomic
def register_cluster(*, name: str, offered_secret: str, registration_secret: str, now: datetime) -> Registration | None:
    """Registers a cluster; None when the name is taken.

    Raises Unauthenticated when `offered_secret` is not `registration_secret`, InvalidArgument when the name is not
    valid.
    """
    check_registration_secret(offered_secret=offered_secret, registration_secret=registration_secret)
    check_cluster_name(name)
    cluster, created = Cluster.objects.get_or_create(name=name, defaults={"registered_at": now})
    if not created:
        return None
    token, secret = (
        add_credential(cluster=cluster, kind=kind, label=DEFAULT_LABEL, now=now)
        for kind in (CredentialKind.TOKEN, CredentialKind.SECRET)
    )
    record(ClusterWhat.REGISTERED, cluster_id=cluster.id, by=None, why="with the registration secret", now=now)
    return Registration(token=token.value, secret=secret.value)


def check_registration_secret(*, offered_secret: str, registration_secret: str) -> None:
    """Raises Unauthenticated."""
    if not hmac.compare_digest(digest_of(offered_secret), digest_of(registration_secret)):
        raise Unauthenticated(REQUEST_DENIED)
