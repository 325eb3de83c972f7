"""The tokens of a cluster or pool among which its jobs are searched."""

from datetime import datetime

from clusters.models import Credential, CredentialKind, CredentialQuerySet
from clusters.services.credentials import MAX_CREDENTIALS

MOST_ENDED = 50


def tokens_of(cluster_id: int) -> CredentialQuerySet:
    return Credential.objects.filter(cluster_id=cluster_id, kind=CredentialKind.TOKEN)


def listed_tokens(*, cluster_id: int, chosen: int, now: datetime) -> list[Credential]:
    """Those that work, the newest MOST_ENDED of the others, and `chosen` if it is the cluster's, by label."""
    tokens = tokens_of(cluster_id).order_by("-id")
    found = [*tokens.live(now)[:MAX_CREDENTIALS], *tokens.ended(now)[:MOST_ENDED], *tokens.filter(id=chosen)]
    return sorted({token.id: token for token in found}.values(), key=lambda token: (token.label, token.id))
