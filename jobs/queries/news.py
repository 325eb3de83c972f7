"""What changed since an event, for servers that poll."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Exists, OuterRef, Q, QuerySet

from clusters.models import CHANGES_WHAT_IT_TAKES, Cluster, ClusterEvent, PoolMember, Streak
from jobs.models import Job, Wish
from jobs.notify import Agent
from jobs.room import forget_room, held_limits_exist
from jobs.sql.news import clusters_with, jobs_with_other_than, last_ids
from jobs.states import PUTS_INTO_A_QUEUE, JobState, What

_PART = 5_000
_NONE: frozenset[str] = frozenset()
_ENDS = (What.ENDED, What.CANCELLED, What.LOST)


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """What happened up to an event of a job and an event of a cluster.

    `clusters` are the names of those whose queues grew, or of whose jobs one made room for others. Those that
    `may_take_others` could not before: their pools or facts changed. `jobs` are the ids of those that changed, `agents`
    those of which something is wanted.
    """

    last: int
    last_of_clusters: int = 0
    clusters: frozenset[str] = frozenset()
    may_take_others: frozenset[str] = frozenset()
    jobs: frozenset[int] = frozenset()
    last_wish: int = 0
    agents: frozenset[Agent] = frozenset()


def news_since(*, after: News | None) -> News:
    """What happened after that; None only returns the last events.

    Two transactions may commit in another order than their ids: a caller that waits must query the queue itself from
    time to time.
    """
    now = last_ids()
    if after is None:
        return News(last=now.event, last_of_clusters=now.of_clusters, last_wish=now.wish)
    last, last_of_clusters = max(now.event, after.last), max(now.of_clusters, after.last_of_clusters)
    grown, moved = _of_jobs(after.last, last) if last > after.last else (_NONE, frozenset[int]())
    news = News(
        last=last,
        last_of_clusters=last_of_clusters,
        clusters=grown,
        may_take_others=_that_may_take_others(after.last_of_clusters, last_of_clusters),
        jobs=moved,
        # Those that are done are deleted.
        last_wish=max(now.wish, after.last_wish),
        agents=_wanted_after(after.last_wish) if now.wish > after.last_wish else frozenset(),
    )
    forget_room()
    return news


def _of_jobs(after: int, until: int) -> tuple[frozenset[str], frozenset[int]]:
    """The clusters whose queues grew, and the jobs that changed."""
    # Where what clusters hold is limited, the end of a job makes room for others.
    with_room_again = _ENDS if held_limits_exist() else ()
    grown = clusters_with(PUTS_INTO_A_QUEUE, with_room_again, after=after, until=until)
    # No call waits for a job whose id was not known yet.
    return grown, jobs_with_other_than(What.SUBMITTED, after=after, until=until)


def _wanted_after(last_wish: int) -> frozenset[Agent]:
    new = Wish.objects.filter(id__gt=last_wish).values_list("cluster_id", "agent")
    return frozenset(Agent(*agent) for agent in new.distinct())


def _that_may_take_others(after: int, until: int) -> frozenset[str]:
    if until == after:
        return _NONE
    changed = ClusterEvent.objects.filter(id__gt=after, id__lte=until, what__in=CHANGES_WHAT_IT_TAKES)
    ids = list(changed.values_list("cluster_id", flat=True))
    if not ids:
        return _NONE
    one_of = Q(id__in=ids, pool=False) | Q(memberships__pool_id__in=ids)
    return frozenset(Cluster.objects.filter(one_of).values_list("name", flat=True))


def queues_with_jobs(*, clusters: Sequence[str]) -> list[str]:
    """Which of these clusters, by name, are not paused, hold no jobs back, and have jobs that wait.

    A cluster that holds jobs back is left out: all its waiting jobs may be held, and finding out costs more the more
    jobs wait.
    """
    held = Streak.objects.filter(cluster_id=OuterRef("id"), held_at__isnull=False)
    parts = (clusters[start : start + _PART] for start in range(0, len(clusters), _PART))
    free = _with_jobs().filter(~Exists(held))
    return [name for part in parts for name in free.filter(name__in=part).values_list("name", flat=True)]


def jobs_wait_for(cluster: str) -> bool:
    """Whether jobs wait in the queue of this cluster, or of this pool, or in one of the cluster's pools, that is not
    paused. All of them may be held back.
    """
    pools = PoolMember.objects.filter(cluster__name=cluster).values("pool_id")
    return _with_jobs().filter(Q(name=cluster) | Q(id__in=pools)).exists()


def _with_jobs() -> QuerySet[Cluster]:
    """The clusters and pools in whose queues jobs wait, without those that are paused."""
    waiting = Job.objects.filter(cluster_id=OuterRef("id"), state=JobState.QUEUED)
    return Cluster.objects.filter(Exists(waiting), paused_at__isnull=True)
