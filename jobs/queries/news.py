"""What changed since an event, for servers that poll."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet

from clusters.models import CHANGES_WHAT_IT_TAKES, Cluster, ClusterEvent, Streak
from jobs.models import Job, JobEvent, Wish
from jobs.notify import Agent
from jobs.room import forget_room, held_limits_exist
from jobs.states import PUTS_INTO_A_QUEUE, JobState, What

_PART = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """What happened up to an event of a job and an event of a cluster.

    `clusters` are the names of those that may take jobs which they could not before: their queues grew, or their pools
    or facts changed. `jobs` are the ids of those that changed, `agents` those of which something is wanted.
    """

    last: int
    last_of_clusters: int = 0
    clusters: frozenset[str] = frozenset()
    jobs: frozenset[int] = frozenset()
    last_wish: int = 0
    agents: frozenset[Agent] = frozenset()


def news_since(*, after: News | None) -> News:
    """What happened after that; None only returns the last events.

    Two transactions may commit in another order than their ids: a caller that waits must query the queue itself from
    time to time.
    """
    last, last_of_clusters = _last(JobEvent.objects.all()), _last(ClusterEvent.objects.all())
    last_wish = _last(Wish.objects.all())
    if after is None:
        return News(last=last, last_of_clusters=last_of_clusters, last_wish=last_wish)
    last, last_of_clusters = max(last, after.last), max(last_of_clusters, after.last_of_clusters)
    new = JobEvent.objects.filter(id__gt=after.last, id__lte=last)
    grown = new.filter(_makes_jobs_ready()).values_list("job__cluster__name", flat=True)
    # No call waits for a job whose id was not known yet.
    moved = new.exclude(what=What.SUBMITTED).values_list("job_id", flat=True)
    changed = ClusterEvent.objects.filter(id__gt=after.last_of_clusters, id__lte=last_of_clusters)
    forget_room()
    return News(
        last=last,
        last_of_clusters=last_of_clusters,
        clusters=frozenset(grown.distinct()) | _that_may_take_others(changed),
        jobs=frozenset(moved.distinct()),
        # Those that are done are deleted.
        last_wish=max(last_wish, after.last_wish),
        agents=_wanted_after(after.last_wish) if last_wish > after.last_wish else frozenset(),
    )


def _wanted_after(last_wish: int) -> frozenset[Agent]:
    new = Wish.objects.filter(id__gt=last_wish).values_list("cluster_id", "agent")
    return frozenset(Agent(*agent) for agent in new.distinct())


def _makes_jobs_ready() -> Q:
    """Where what clusters hold is limited, the end of a job makes room for others."""
    grows = Q(what__in=PUTS_INTO_A_QUEUE)
    ends = Q(what__in=(What.ENDED, What.CANCELLED, What.LOST), job__project__isnull=False)
    return grows | ends if held_limits_exist() else grows


def _last(events: QuerySet[Any]) -> int:
    last: int | None = events.order_by("-id").values_list("id", flat=True).first()
    return last or 0


def _that_may_take_others(changed: QuerySet[ClusterEvent]) -> frozenset[str]:
    ids = list(changed.filter(what__in=CHANGES_WHAT_IT_TAKES).values_list("cluster_id", flat=True))
    if not ids:
        return frozenset()
    one_of = Q(id__in=ids, pool=False) | Q(memberships__pool_id__in=ids)
    return frozenset(Cluster.objects.filter(one_of).values_list("name", flat=True))


def queues_with_jobs(*, clusters: Sequence[str]) -> list[str]:
    """Which of these clusters, by name, are not paused, hold no jobs back, and have jobs that wait.

    A cluster that holds jobs back is left out: all its waiting jobs may be held, and finding out costs more the more
    jobs wait.
    """
    waiting = Job.objects.filter(cluster_id=OuterRef("id"), state=JobState.QUEUED)
    held = Streak.objects.filter(cluster_id=OuterRef("id"), held_at__isnull=False)
    parts = (clusters[start : start + _PART] for start in range(0, len(clusters), _PART))
    free = Cluster.objects.filter(Exists(waiting), ~Exists(held), paused_at__isnull=True)
    return [name for part in parts for name in free.filter(name__in=part).values_list("name", flat=True)]
