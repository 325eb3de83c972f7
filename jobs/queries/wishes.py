"""What servers want of an agent now."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q

from clusters.callers import Caller
from jobs.models import Job, Wish
from jobs.states import HELD, WishKind

# After this time a wish is no longer told.
LIVE_FOR = timedelta(minutes=1)
MOST_WISHES = 100
MOST_CANCELS = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """`job_ids` are those that it is about, `content` what else there is to say."""

    id: int
    kind: WishKind
    job_ids: Sequence[int] = ()
    attempt: int = 0
    content: dict[str, Any] = field(default_factory=dict)


def wishes_for(*, caller: Caller, agent: str, now: datetime) -> list[Wanted]:
    """The oldest first, before them all cancels as one, by the jobs of which they are requested now."""
    live = Wish.objects.filter(cluster_id=caller.cluster_id, agent=agent, made_at__gte=now - LIVE_FOR)
    if caller.narrowed_to:
        live = live.filter(Q(job__isnull=True) | Q(job__project_id=caller.narrowed_to))
    # Apart: however many others there are, a cancel does not wait behind them.
    last = live.filter(kind=WishKind.CANCEL).order_by("-id").values_list("id", flat=True).first()
    looks = [Wanted(id=last, kind=WishKind.CANCEL, job_ids=_to_be_cancelled(caller, agent))] if last else []
    others = live.exclude(kind=WishKind.CANCEL).order_by("id")[:MOST_WISHES]
    return [*looks, *map(_wanted, others)]


def _wanted(wish: Wish) -> Wanted:
    ids = [wish.job_id] if wish.job_id else []
    return Wanted(id=wish.id, kind=WishKind(wish.kind), job_ids=ids, attempt=wish.attempt, content=wish.content)


def _to_be_cancelled(caller: Caller, agent: str) -> list[int]:
    held = Job.objects.filter(cluster_id=caller.cluster_id, state__in=HELD)
    asked = held.filter(agent=agent, cancel_requested_at__isnull=False)
    return list(asked.order_by("id").values_list("id", flat=True)[:MOST_CANCELS])


def old_wishes_exist(*, now: datetime) -> bool:
    return Wish.objects.filter(made_at__lt=now - LIVE_FOR - timedelta(seconds=5)).exists()
