"""The only writer of cluster events."""

from datetime import datetime

from django.contrib.admin.models import CHANGE, LogEntry

from clusters.callers import Actor, Caller, Operator
from clusters.models import Cluster, ClusterEvent, ClusterWhat, Credential


def record(
    what: ClusterWhat,
    *,
    cluster_id: int,
    by: Actor,
    about: Credential | None = None,
    why: str = "",
    now: datetime,
) -> None:
    """Adds an event, and for an operator an entry in the admin's log. Call it in the transaction of the change."""
    ClusterEvent.objects.create(
        cluster_id=cluster_id,
        at=now,
        what=what,
        about=about,
        credential_id=by.credential_id if isinstance(by, Caller) else None,
        operator_id=by.user_id if isinstance(by, Operator) else None,
        issued_by_id=by.issued_by_id if isinstance(by, Caller) else None,
        why=why,
    )
    if isinstance(by, Operator):
        said = " ".join([what.label, *([str(about)] if about else [])])
        LogEntry.objects.log_actions(
            user_id=by.user_id,
            queryset=Cluster.objects.filter(id=cluster_id),
            action_flag=CHANGE,
            change_message=f"{said}: {why}" if why else said,
        )


def list_events(*, cluster_id: int, before: int = 0, most: int, of_operators: bool = True) -> list[ClusterEvent]:
    """The newest events of a cluster with an id below `before` (0: of all)."""
    found = ClusterEvent.objects.filter(cluster_id=cluster_id)
    if before:
        found = found.filter(id__lt=before)
    if not of_operators:
        found = found.filter(operator__isnull=True)
    return list(found.select_related("about", "operator", "credential", "issued_by").order_by("-id")[:most])
