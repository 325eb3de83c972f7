"""Holding back a cluster's jobs."""

from collections.abc import Mapping
from datetime import datetime

from clusters.models import Cluster
from clusters.validation import check_reason
from rainbow.errors import FailedPrecondition


def pause_cluster(*, cluster_id: int, reason: str, by: str, now: datetime) -> None:
    """Stops handing out the cluster's jobs; submitting goes on. Raises FailedPrecondition when it is paused."""
    check_reason(reason, required=True)
    active = Cluster.objects.filter(id=cluster_id, paused_at__isnull=True)
    if not active.update(paused_at=now, paused_reason=reason, paused_by=by):
        raise FailedPrecondition("the cluster is paused already")


def resume_cluster(*, cluster_id: int) -> None:
    """Hands out the cluster's jobs again. Raises FailedPrecondition when it is not paused."""
    paused = Cluster.objects.filter(id=cluster_id, paused_at__isnull=False)
    if not paused.update(paused_at=None, paused_reason="", paused_by=""):
        raise FailedPrecondition("the cluster is not paused")


def note_readiness(*, not_ready: Mapping[int, str]) -> None:
    """Writes down why the agents of clusters (ids) take no jobs now; empty when they do."""
    for reason in not_ready.values():
        check_reason(reason, field="not_ready")
    known = dict(Cluster.objects.filter(id__in=not_ready).values_list("id", "not_ready"))
    # In one order, so that no two writers wait in a circle.
    for cluster_id in sorted(known):
        if known[cluster_id] != not_ready[cluster_id]:
            Cluster.objects.filter(id=cluster_id).update(not_ready=not_ready[cluster_id])
