from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from math import ceil

from clusters.callers import Actor
from clusters.facts import Facts
from clusters.models import Cluster, ClusterEvent, ClusterWhat
from clusters.parsed_facts import parsed_facts
from clusters.services.events import record
from clusters.validation import MAX_REASON
from clusters.visible import shortened
from rainbow.errors import FailedPrecondition

CHANGE_EVERY = timedelta(seconds=10)
# Of the events of a cluster: more are not looked through for its last change of facts.
_NEWEST = 100


def check_change_of_facts(*, cluster_id: int, facts: Facts, now: datetime) -> None:
    """Raises FailedPrecondition where they changed a moment ago: each change is applied to all jobs that wait."""
    newest = ClusterEvent.objects.filter(cluster_id=cluster_id).order_by("-id").values_list("what", "at")
    changes = (at for what, at in newest[:_NEWEST] if what == ClusterWhat.FACTS_CHANGED)
    again_at = next(changes, now - CHANGE_EVERY) + CHANGE_EVERY
    if now < again_at and parsed_facts.of([cluster_id]).get(cluster_id) != facts:
        seconds, left = CHANGE_EVERY.seconds, ceil((again_at - now).total_seconds())
        raise FailedPrecondition(
            f"may change once in {seconds} seconds; report them again in {left}, and nothing was noted of this report",
            field="facts",
        )


def note_facts(*, cluster_id: int, facts: Facts, by: Actor, now: datetime) -> bool:
    """Stores what a cluster says of itself, which `check_facts` passed; whether it said something else before.

    Call it in a transaction. In the lock order (docs/development.md) the cluster comes after jobs.
    """
    locked = Cluster.objects.filter(id=cluster_id).select_for_update(no_key=True)
    before = Facts.read(locked.values_list("facts", flat=True).get())
    Cluster.objects.filter(id=cluster_id).update(facts=facts.said(), facts_at=now)
    if facts == before:
        return False
    record(ClusterWhat.FACTS_CHANGED, cluster_id=cluster_id, by=by, why=differences(before, facts), now=now)
    return True


def differences(before: Facts, after: Facts) -> str:
    """Which values and partitions differ, as `site, data; partition gpu`."""
    values = ", ".join(_differing(before.values, after.values))
    partitions = _differing(before.by_partition, after.by_partition)
    changed = filter(None, [values, *(f"partition {name}" for name in partitions)])
    return shortened("; ".join(changed), longest=MAX_REASON)


def _differing(before: Mapping[str, object], after: Mapping[str, object]) -> Iterator[str]:
    """In an order of their own: the databases keep different ones."""
    return (name for name in sorted({*before, *after}) if before.get(name) != after.get(name))
