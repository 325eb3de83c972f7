"""Holding back the jobs of a token, and of no other, when its jobs fail in a row."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import QuerySet

from clusters.callers import Actor, Caller
from clusters.models import OF_CLUSTERS, Cluster, ClusterWhat, Streak
from clusters.services.events import record
from clusters.sql.streaks import have_streaks
from clusters.validation import MAX_REASON


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """How a job ended. `at_once`: right after its start, or refused by the scheduler."""

    credential_id: int
    at_once: bool
    reason: str


def note_ends(*, cluster_id: int, ends: Sequence[End], hold_after: int, now: datetime) -> None:
    """Counts ends, in order: `hold_after` ends at once in a row hold back the token's other jobs; 0 never does.

    Any other end starts a new streak. Jobs stay held back until they are resumed. Call it in a transaction.
    """
    tokens = {end.credential_id for end in ends}
    if not hold_after or not (
        any(end.at_once for end in ends) or have_streaks(cluster_id=cluster_id, credential_ids=tokens)
    ):
        return
    _lock(cluster_id)
    known = Streak.objects.filter(cluster_id=cluster_id, credential_id__in=tokens)
    streaks = {streak.credential_id: streak for streak in known}
    held = {streak.credential_id for streak in streaks.values() if streak.held_at}
    for end in ends:
        streak = streaks.setdefault(
            end.credential_id, Streak(cluster_id=cluster_id, credential_id=end.credential_id, failures=0)
        )
        _note(streak, end, hold_after, now)
    _write(streaks.values())
    for streak in streaks.values():
        if streak.held_at and streak.credential_id not in held:
            about = streak.credential
            record(ClusterWhat.TOKEN_HELD, cluster_id=cluster_id, by=None, about=about, why=streak.reason, now=now)


def held_back(*, cluster_ids: Iterable[int]) -> list[Streak]:
    """The streaks that hold jobs back in these clusters, oldest first."""
    return _held(Streak.objects.filter(cluster_id__in=list(cluster_ids)))


def held_back_of(caller: Caller) -> list[Streak]:
    """Those that the caller may see, oldest first: of a pool's token and of people's in any cluster, of others in the
    caller's own."""
    if caller.pool or caller.kind not in OF_CLUSTERS:
        return _held(Streak.objects.filter(credential_id=caller.credential_id))
    return [one for one in held_back(cluster_ids=[caller.cluster_id]) if caller.may_see(one)]


def let_go(*, cluster_id: int, credential_id: int | None = None, by: Actor, reason: str, now: datetime) -> list[Streak]:
    """Ends the streaks of a cluster, or of one token there; returns those that held jobs back. Call it in a
    transaction.
    """
    _lock(cluster_id)
    held = [one for one in held_back(cluster_ids=[cluster_id]) if credential_id in (None, one.credential_id)]
    ended = Streak.objects.filter(cluster_id=cluster_id)
    (ended if credential_id is None else ended.filter(credential_id=credential_id)).delete()
    for one in held:
        about = one.credential
        record(ClusterWhat.TOKEN_RESUMED, cluster_id=cluster_id, by=by, about=about, why=reason, now=now)
    return held


def _held(streaks: QuerySet[Streak]) -> list[Streak]:
    held = streaks.filter(held_at__isnull=False).select_related("cluster", "credential__cluster")
    return list(held.defer("cluster__facts", "credential__cluster__facts").order_by("held_at", "id"))


def _lock(cluster_id: int) -> None:
    """Locks the cluster before its streaks (the lock order, docs/development.md).

    NO KEY: inserts that refer to the cluster lock its key at commit, in no order, and would deadlock.
    """
    list(Cluster.objects.filter(id=cluster_id).select_for_update(no_key=True).values_list("id"))


def _note(streak: Streak, end: End, hold_after: int, now: datetime) -> None:
    if streak.held_at:
        return
    streak.failures = streak.failures + 1 if end.at_once else 0
    if streak.failures >= hold_after:
        last = f"; the last one: {' '.join(end.reason.split())}" if end.reason else ""
        streak.held_at = now
        streak.reason = f"{streak.failures} jobs in a row failed at once{last}"[:MAX_REASON]


def _write(streaks: Iterable[Streak]) -> None:
    for streak in streaks:
        if streak.failures:
            streak.save()
        elif streak.pk:
            streak.delete()
