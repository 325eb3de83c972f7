"""The tokens of a cluster or pool among which its jobs are searched."""

from datetime import datetime

from django.db.models import Q

from clusters.models import Credential, CredentialKind
from clusters.services.credentials import MAX_CREDENTIALS

MOST_DEAD = 50


def listed_tokens(*, cluster_id: int, chosen: int, now: datetime) -> list[Credential]:
    """Those that work, the newest MOST_DEAD of the others, and `chosen` if it is the cluster's, by label."""
    tokens = Credential.objects.filter(cluster_id=cluster_id, kind=CredentialKind.TOKEN).order_by("-id")
    dead = tokens.filter(Q(revoked_at__isnull=False) | Q(expires_at__lte=now))
    found = [*tokens.live(now)[:MAX_CREDENTIALS], *dead[:MOST_DEAD], *tokens.filter(id=chosen)]
    return sorted({token.id: token for token in found}.values(), key=lambda token: (token.label, token.id))
