"""Holding back a cluster's jobs."""

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


def note_readiness(*, cluster_id: int, not_ready: str) -> None:
    """Writes down why the cluster's agent takes no jobs now; empty when it does."""
    check_reason(not_ready, field="not_ready")
    Cluster.objects.filter(id=cluster_id).exclude(not_ready=not_ready).update(not_ready=not_ready)
