from datetime import datetime

from django.db import transaction

from clusters.callers import Claim
from clusters.facts import Facts
from clusters.models import CredentialKind
from clusters.services.authenticate import admit
from clusters.services.register import Registration, register_cluster
from jobs.services.facts import change_facts

_SECRET = frozenset({CredentialKind.SECRET})


@transaction.atomic
def register_with_facts(
    *, name: str, offered_secret: str, registration_secret: str, facts: Facts | None, now: datetime
) -> Registration | None:
    """As `register_cluster`, of a cluster that may say at once what it has: both are stored, or none.

    Raises InvalidArgument, too, for facts that are none.
    """
    registration = register_cluster(
        name=name, offered_secret=offered_secret, registration_secret=registration_secret, now=now
    )
    if registration and facts:
        by = admit(Claim(value=registration.secret, cluster=name, kinds=_SECRET), now=now)
        change_facts(by=by, change=lambda _: facts, now=now)
    return registration
