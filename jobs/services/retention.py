"""Pruning by the servers themselves: one at a time, in steps that hold up no other writer."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from django.contrib.sessions.models import Session
from django.db import transaction
from django.db.models import Q

from jobs.models import RetentionLease
from jobs.services.inputs import delete_unneeded_inputs
from jobs.services.prune import prune_ended, prune_groups, prune_handed_over
from jobs.services.prune_activity import delete_old_activity, join_slots
from jobs.services.prune_usage import delete_old_usage, join_usage
from jobs.sql.inserts import beginning
from jobs.states import Span

# How often a server prunes.
EVERY = timedelta(hours=1)
# For how long the lease is one server's, unless it renews it; after that another may go on.
HELD_FOR = timedelta(minutes=1)
# A time further ahead than this was written by a wrong clock.
_FAR_AHEAD = timedelta(hours=2)
# By a wrong clock all records may be old, and what is deleted stays deleted. So a turn that comes this long after the
# last is put off, for EVERY: a clock is set right in that time.
_GAP = timedelta(days=1)
# Slots of stretches before that were joined by an earlier turn; what none joined does no harm.
_JOINED_SINCE = timedelta(hours=3)
# Rows in a step.
_BATCH = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A short transaction that deletes some rows of a kind and returns how many; 0 when none is left."""

    what: str
    work: Callable[[], int]


def is_due(*, now: datetime) -> bool:
    """Whether no server has pruned for EVERY, and none does. One row is read."""
    return not RetentionLease.objects.filter(id=1).exists() or RetentionLease.objects.filter(_due(now), id=1).exists()


def put_off(*, now: datetime) -> bool:
    """Puts the turn that is due off if the last one was long ago: no server ran, or this one's clock is wrong."""
    return RetentionLease.objects.filter(_due(now), id=1, finished_at__lt=now - _GAP).update(finished_at=now) > 0


@transaction.atomic
def take_turn(*, holder: str, now: datetime) -> bool:
    """Whether it is this holder's turn to prune: one conditional UPDATE decides between servers."""
    RetentionLease.objects.get_or_create(id=1)
    held = RetentionLease.objects.filter(_due(now), id=1).update(holder=holder, held_until=now + HELD_FOR)
    return held > 0


def renew_turn(*, holder: str, now: datetime) -> bool:
    """False when another server has taken over, since this one was silent for too long."""
    return RetentionLease.objects.filter(id=1, holder=holder).update(held_until=now + HELD_FOR) > 0


def end_turn(*, holder: str, now: datetime) -> None:
    """Until EVERY has passed there is nothing to do for any server."""
    RetentionLease.objects.filter(id=1, holder=holder).update(holder="", held_until=None, finished_at=now)


def retention_steps(*, days: int, now: datetime) -> Iterator[Step]:
    """What to delete, in order: each step is repeated until it returns 0."""
    before = now - timedelta(days=days)
    yield Step(what="jobs", work=partial(prune_ended, before=before, limit=_BATCH))
    yield Step(what="jobs", work=partial(prune_handed_over, before=before, limit=_BATCH))
    yield Step(what="groups", work=partial(prune_groups, before=before, limit=_BATCH))
    for span in Span:
        yield Step(what="activity", work=partial(delete_old_activity, span=span, now=now, limit=_BATCH))
        began_at = beginning(span, now - _JOINED_SINCE)
        while (over := began_at + timedelta(seconds=span.value)) <= now:
            yield Step(what="activity", work=partial(join_slots, span=span, began_at=began_at))
            began_at = over
    yield Step(what="usage", work=partial(delete_old_usage, now=now, limit=_BATCH))
    yield Step(what="usage", work=partial(join_usage, now=now, limit=_BATCH))
    yield Step(what="inputs", work=partial(delete_unneeded_inputs, now=now, limit=_BATCH))
    yield Step(what="sessions", work=partial(_delete_expired_sessions, now=now))


def _due(now: datetime) -> Q:
    free = Q(held_until__isnull=True) | Q(held_until__lte=now) | Q(held_until__gt=now + _FAR_AHEAD)
    long_ago = Q(finished_at__lte=now - EVERY) | Q(finished_at__gt=now + _FAR_AHEAD)
    return free & (Q(finished_at__isnull=True) | long_ago)


def _delete_expired_sessions(*, now: datetime) -> int:
    expired = Session.objects.filter(expire_date__lt=now).order_by("expire_date")
    return Session.objects.filter(pk__in=list(expired.values_list("pk", flat=True)[:_BATCH])).delete()[0]
