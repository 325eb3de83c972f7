"""Holding back a cluster's jobs."""

from datetime import datetime

from django.db import transaction

from clusters.callers import Actor
from clusters.models import Cluster, ClusterWhat
from clusters.services.events import record
from clusters.validation import check_reason
from rainbow.errors import FailedPrecondition

_LONGEST_WHO = 255


@transaction.atomic
def pause_cluster(*, cluster_id: int, reason: str, by: Actor, agent: str = "", now: datetime) -> None:
    """Stops handing out the cluster's jobs; submitting goes on. Raises FailedPrecondition when it is paused.

    `agent` is the name of the agent that does it, if one does.
    """
    check_reason(reason, required=True)
    active = Cluster.objects.filter(id=cluster_id, paused_at__isnull=True)
    who = f"agent {agent}"[:_LONGEST_WHO] if agent else by.who if by else ""
    if not active.update(paused_at=now, paused_reason=reason, paused_by=who):
        raise FailedPrecondition("the cluster is paused already")
    record(ClusterWhat.PAUSED, cluster_id=cluster_id, by=by, why=reason, now=now)


@transaction.atomic
def resume_cluster(*, cluster_id: int, by: Actor, reason: str = "", now: datetime) -> None:
    """Hands out the cluster's jobs again. Raises FailedPrecondition when it is not paused."""
    check_reason(reason)
    paused = Cluster.objects.filter(id=cluster_id, paused_at__isnull=False)
    if not paused.update(paused_at=None, paused_reason="", paused_by=""):
        raise FailedPrecondition("the cluster is not paused")
    record(ClusterWhat.RESUMED, cluster_id=cluster_id, by=by, why=reason, now=now)


def note_readiness(*, cluster_id: int, not_ready: str) -> None:
    """Writes down why the cluster's agent takes no jobs now; empty when it does."""
    check_reason(not_ready, field="not_ready")
    Cluster.objects.filter(id=cluster_id).exclude(not_ready=not_ready).update(not_ready=not_ready)
