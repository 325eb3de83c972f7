"""What changed since an event, for servers that poll."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Exists, OuterRef

from clusters.models import Cluster, Streak
from jobs.models import Job, JobEvent
from jobs.states import PUTS_INTO_A_QUEUE, JobState, What

_PART = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """What happened up to an event: the names of clusters whose queues grew, and the ids of jobs that changed."""

    last: int
    clusters: frozenset[str] = frozenset()
    jobs: frozenset[int] = frozenset()


def news_since(*, after: int | None) -> News:
    """What happened since event `after`; None only returns the last event.

    Two transactions may commit in another order than their ids: a caller that waits must query the queue itself from
    time to time.
    """
    if after is None:
        return News(last=JobEvent.objects.order_by("-id").values_list("id", flat=True).first() or 0)
    last = max(JobEvent.objects.order_by("-id").values_list("id", flat=True).first() or 0, after)
    new = JobEvent.objects.filter(id__gt=after, id__lte=last)
    grown = new.filter(what__in=PUTS_INTO_A_QUEUE).values_list("job__cluster__name", flat=True)
    # No call waits for a job whose id was not known yet.
    moved = new.exclude(what=What.SUBMITTED).values_list("job_id", flat=True)
    return News(last=last, clusters=frozenset(grown.distinct()), jobs=frozenset(moved.distinct()))


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
