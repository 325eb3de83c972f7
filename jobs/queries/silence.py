"""Which clusters fell silent at once, when so many did that the network is to blame rather than their agents.

A cluster counts once, however many agents it claims to have, and only when it was registered a day ago.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Max, Min, Q

from clusters.models import Cluster, CredentialKind
from jobs.models import Job

# Silence is common when so many clusters are silent, and more than half of those that hold leases.
MANY_CLUSTERS = 3
# Names can be registered in any number; days cannot.
SETTLED_AFTER = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Holder:
    """A cluster that holds leases, the first of which runs out, or ran out, at `first_end`."""

    cluster_id: int
    settled: bool
    first_end: datetime
    heard_at: datetime | None

    def is_silent(self, now: datetime) -> bool:
        """Whether a lease ran out, and no agent of the cluster called since."""
        return self.first_end < now and (self.heard_at is None or self.heard_at <= self.first_end)


def silent_clusters(*, now: datetime) -> frozenset[int]:
    """The silent clusters, if silence is common; otherwise none."""
    if not Job.objects.filter(lease_expires_at__lt=now).exists():
        return frozenset()
    holders = list(_holders(now))
    silent = [holder for holder in holders if holder.is_silent(now)]
    common = _count(silent) >= MANY_CLUSTERS and _count(silent) * 2 > _count(holders)
    return frozenset(holder.cluster_id for holder in silent) if common else frozenset()


def _count(holders: Iterable[_Holder]) -> int:
    return sum(holder.settled for holder in holders)


def _holders(now: datetime) -> Iterable[_Holder]:
    leases = Job.objects.filter(lease_expires_at__isnull=False).values("cluster_id")
    first_ends = dict(leases.annotate(end=Min("lease_expires_at")).order_by().values_list("cluster_id", "end"))
    by_secret = Max("credentials__last_used_at", filter=Q(credentials__kind=CredentialKind.SECRET))
    for cluster in Cluster.objects.filter(id__in=first_ends).defer("facts").annotate(used_at=by_secret):
        yield _Holder(
            cluster_id=cluster.id,
            settled=now - cluster.registered_at >= SETTLED_AFTER,
            first_end=first_ends[cluster.id],
            heard_at=max(filter(None, (cluster.last_asked_at, cluster.used_at)), default=None),
        )
