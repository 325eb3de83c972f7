"""Noticing what was put into the queues."""

from jobs.models import JobEvent
from jobs.states import What


def newly_queued(*, after: int | None) -> tuple[int, set[str]]:
    """The last event's id, and the names of the clusters whose queues grew since event `after`.

    None for `after` only asks where the events stand. Two transactions may commit in another order than their
    ids: whoever waits must look for itself now and then.
    """
    if after is None:
        return JobEvent.objects.order_by("-id").values_list("id", flat=True).first() or 0, set()
    new = JobEvent.objects.filter(id__gt=after).order_by("id")
    rows = list(new.values_list("id", "what", "job__cluster__name"))
    grown = {name for _, what, name in rows if what in (What.SUBMITTED, What.REQUEUED, What.MOVED)}
    return (rows[-1][0] if rows else after), grown
