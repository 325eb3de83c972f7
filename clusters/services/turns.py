"""Whether those who submit to a cluster or pool take turns (jobs.services.turns)."""

from datetime import datetime

from django.db import transaction
from django.db.models import Q

from clusters.callers import Actor
from clusters.models import Cluster, ClusterWhat
from clusters.services.events import record
from clusters.validation import check_reason


@transaction.atomic
def change_turns(*, cluster_id: int, fair: bool, by: Actor, reason: str = "", now: datetime) -> bool:
    """Lets submitters take turns, or jobs go by age again; whether that changed anything.

    Jobs that wait keep their places: before those that come with turns, and before those that come after turns ended.
    Raises InvalidArgument.
    """
    check_reason(reason)
    other = Q(fair_turns=not fair) | Q(fair_turns__isnull=True) if fair else Q(fair_turns=True)
    if not Cluster.objects.filter(other, id=cluster_id).update(fair_turns=fair):
        return False
    what = ClusterWhat.TURNS_BEGUN if fair else ClusterWhat.TURNS_ENDED
    record(what, cluster_id=cluster_id, by=by, why=reason, now=now)
    return True
