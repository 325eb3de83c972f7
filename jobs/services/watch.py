"""Noticing what goes on."""

from dataclasses import dataclass

from jobs.models import JobEvent
from jobs.states import What

_PUTS_INTO_A_QUEUE = frozenset({What.SUBMITTED, What.REQUEUED, What.MOVED})


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """What happened up to an event: the names of clusters whose queues grew, and the ids of jobs that took a step."""

    last: int
    clusters: frozenset[str] = frozenset()
    jobs: frozenset[int] = frozenset()


def news_since(*, after: int | None) -> News:
    """What happened since event `after`; None only asks where the events stand.

    Two transactions may commit in another order than their ids: whoever waits must look for itself now and then.
    """
    if after is None:
        return News(last=JobEvent.objects.order_by("-id").values_list("id", flat=True).first() or 0)
    new = JobEvent.objects.filter(id__gt=after).order_by("id")
    rows = list(new.values_list("id", "what", "job_id", "job__cluster__name"))
    return News(
        last=rows[-1][0] if rows else after,
        clusters=frozenset(name for _, what, _, name in rows if what in _PUTS_INTO_A_QUEUE),
        jobs=frozenset(job_id for _, _, job_id, _ in rows),
    )
