from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from clusters.callers import Actor, Caller
from clusters.models import Cluster, ClusterWhat, Streak
from clusters.services.events import record
from clusters.services.streaks import held_back_of, let_go
from clusters.validation import check_reason
from rainbow.errors import FailedPrecondition

_LONGEST_WHO = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumed:
    """What ended: the reason of the pause, empty without one, and the streaks that held jobs back."""

    paused: str
    held_back: list[Streak]


@transaction.atomic
def pause_cluster(*, cluster_id: int, reason: str, by: Actor, agent: str = "", now: datetime) -> None:
    """Pauses a cluster, in the name of `agent` if one asked for it. Raises FailedPrecondition when it is paused."""
    check_reason(reason, required=True)
    active = Cluster.objects.filter(id=cluster_id, paused_at__isnull=True)
    who = f"agent {agent}"[:_LONGEST_WHO] if agent else by.who if by else ""
    if not active.update(paused_at=now, paused_reason=reason, paused_by=who):
        raise FailedPrecondition("the cluster is paused already")
    record(ClusterWhat.PAUSED, cluster_id=cluster_id, by=by, why=reason, now=now)


@transaction.atomic
def resume_cluster(*, cluster_id: int, by: Actor, reason: str = "", now: datetime) -> Resumed:
    """Ends a pause and releases all jobs that are held back.

    Raises FailedPrecondition when the cluster is not paused and holds no jobs back.
    """
    check_reason(reason)
    held = let_go(cluster_id=cluster_id, by=by, reason=reason, now=now)
    paused = Cluster.objects.filter(id=cluster_id, paused_at__isnull=False)
    paused_reason = paused.values_list("paused_reason", flat=True).first() or ""
    if paused.update(paused_at=None, paused_reason="", paused_by=""):
        record(ClusterWhat.RESUMED, cluster_id=cluster_id, by=by, why=reason, now=now)
    elif not held:
        raise FailedPrecondition("the cluster is not paused, and holds no jobs back")
    return Resumed(paused=paused_reason, held_back=held)


@transaction.atomic
def resume_token(*, by: Caller, reason: str = "", now: datetime) -> Resumed:
    """Releases the jobs of the caller's token that are held back in its cluster, of a pool's, a person's or a project's
    token in any.

    Raises FailedPrecondition when none are.
    """
    check_reason(reason)
    clusters = sorted({one.cluster_id for one in held_back_of(by)})
    held = [
        one
        for cluster_id in clusters
        for one in let_go(cluster_id=cluster_id, credential_id=by.credential_id, by=by, reason=reason, now=now)
    ]
    if not held:
        raise FailedPrecondition(
            "no jobs of this token are held back; a pause is the cluster's or an operator's to end"
        )
    return Resumed(paused="", held_back=held)


def note_readiness(*, cluster_id: int, not_ready: str) -> None:
    check_reason(not_ready, field="not_ready")
    Cluster.objects.filter(id=cluster_id).exclude(not_ready=not_ready).update(not_ready=not_ready)
