"""Facts of a cluster that are told by parts."""

from collections.abc import Callable
from datetime import datetime, timedelta

from django.db import transaction

from clusters.callers import Caller
from clusters.facts import Facts, check_facts
from clusters.models import Cluster, ClusterEvent, ClusterWhat
from clusters.services.facts import CHANGE_EVERY, note_facts
from jobs.notify import tell_all_calls_after_commit
from jobs.services.serving import facts_changed, lock_with_pools
from rainbow.errors import FailedPrecondition

# What is told by parts comes in several calls at a time, on the average no more often than what is told as a whole.
_BURST = 6
_WITHIN = _BURST * CHANGE_EVERY


@transaction.atomic
def change_facts(*, by: Caller, change: Callable[[Facts], Facts], now: datetime) -> None:
    """Replaces what the caller's cluster says of itself by what `change` makes of it.

    Raises InvalidArgument, and FailedPrecondition where it changed six times in the last minute.
    """
    lock_with_pools({by.cluster_id})
    before = Facts.read(Cluster.objects.values_list("facts", flat=True).get(id=by.cluster_id))
    facts = change(before)
    check_facts(facts)
    if facts != before:
        _check_often(by.cluster_id, now)
    if note_facts(cluster_id=by.cluster_id, facts=facts, by=by, now=now):
        facts_changed(cluster_ids=[by.cluster_id])
        tell_all_calls_after_commit([by.cluster_id])


def _check_often(cluster_id: int, now: datetime) -> None:
    newest = ClusterEvent.objects.filter(cluster_id=cluster_id).order_by("-id").values_list("what", "at")[:100]
    changes = [at for what, at in newest if what == ClusterWhat.FACTS_CHANGED and now - at < _WITHIN]
    if len(changes) >= _BURST:
        left = max(1, round((_WITHIN - (now - changes[_BURST - 1])) / timedelta(seconds=1)))
        raise FailedPrecondition(
            f"may change {_BURST} times a minute; tell them again in {left} seconds", field="facts"
        )
