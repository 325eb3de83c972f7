"""Making and changing pools: here, since a change reaches jobs that wait, of which clusters know nothing."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import IntegrityError, transaction

from clusters.callers import Operator
from clusters.models import MAX_AFTER_SECONDS, MAX_MEMBERS, Cluster, ClusterWhat, CredentialKind, PoolMember
from clusters.services.credentials import DEFAULT_LABEL, NewCredential, add_credential
from clusters.services.events import record
from clusters.validation import MAX_REASON, check_cluster_name, check_range, check_reason
from clusters.visible import quoted, shortened
from jobs.notify import tell_all_calls_after_commit
from jobs.services.serving import in_lock_order, pool_changed
from rainbow.errors import AlreadyExists, InvalidArgument, NotFound


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A cluster, by name, that may take a job of the pool once the job has waited for `after_seconds`."""

    cluster: str
    after_seconds: int = 0

    def __str__(self) -> str:
        return f"{self.cluster} after {self.after_seconds:,} s" if self.after_seconds else self.cluster


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPool:
    """A pool with its first token."""

    pool: Cluster
    token: NewCredential


@transaction.atomic
def create_pool(
    *, name: str, members: Sequence[Member], by: Operator | None, reason: str = "", now: datetime
) -> NewPool:
    """Makes a pool of these clusters, in their order.

    Raises InvalidArgument, NotFound when a cluster is not there, AlreadyExists when the name is taken.
    """
    check_cluster_name(name)
    check_reason(reason)
    ids = _checked(members)
    try:
        with transaction.atomic():
            pool = Cluster.objects.create(name=name, pool=True, registered_at=now)
    except IntegrityError:
        raise AlreadyExists("a cluster or a pool has this name; choose another", field="name") from None
    _write(pool, members, ids)
    tell_all_calls_after_commit(ids.values())
    token = add_credential(cluster=pool, kind=CredentialKind.TOKEN, label=DEFAULT_LABEL, by=by, now=now)
    why = _why(", ".join(map(str, members)), reason)
    record(ClusterWhat.POOL_MADE, cluster_id=pool.id, by=by, why=why, now=now)
    return NewPool(pool=pool, token=token)


@transaction.atomic
def change_pool(
    *, pool_id: int, members: Sequence[Member], by: Operator | None, reason: str = "", now: datetime
) -> bool:
    """Replaces a pool's members, also for the jobs that wait in it; whether that changed anything.

    Raises InvalidArgument, and NotFound when there is no such pool or no such cluster.
    """
    check_reason(reason)
    ids = _checked(members)
    pool = _locked(pool_id, ids.values())
    if pool is None:
        raise NotFound("there is no such pool", field="pool")
    before = members_of(pool)
    if before == list(members):
        return False
    pool.members.all().delete()
    _write(pool, members, ids)
    tell_all_calls_after_commit(ids.values())
    why = _why(_changes(before, members), reason)
    record(ClusterWhat.POOL_CHANGED, cluster_id=pool.id, by=by, why=why, now=now)
    pool_changed(pool_id=pool.id)
    return True


def members_of(pool: Cluster) -> list[Member]:
    found = pool.members.order_by("place").values_list("cluster__name", "after_seconds")
    return [Member(cluster=name, after_seconds=seconds) for name, seconds in found]


def _locked(pool_id: int, cluster_ids: Iterable[int]) -> Cluster | None:
    """The pool, locked with the clusters that `pool_changed` will lock, in the lock order (docs/development.md)."""
    return next(
        (cluster for cluster in in_lock_order({pool_id, *cluster_ids}) if cluster.id == pool_id and cluster.pool), None
    )


def _checked(members: Sequence[Member]) -> Mapping[str, int]:
    """The ids of the members' clusters, by name. Raises InvalidArgument, NotFound."""
    if not 1 <= len(members) <= MAX_MEMBERS:
        raise InvalidArgument(f"must be 1 to {MAX_MEMBERS} clusters, not {len(members):,}", field="members")
    for member in members:
        check_cluster_name(member.cluster, field="members")
        check_range(member.after_seconds, field="after_seconds", lowest=0, highest=MAX_AFTER_SECONDS)
    found = {one.name: one for one in Cluster.objects.filter(name__in={member.cluster for member in members})}
    seen = set[str]()
    for name in (member.cluster for member in members):
        if name not in found:
            raise NotFound(f"there is no cluster {quoted(name)}", field="members")
        if found[name].pool:
            raise InvalidArgument(f"{name} is a pool; the members of a pool are clusters", field="members")
        if name in seen:
            raise InvalidArgument(f"{name} is named twice", field="members")
        seen.add(name)
    return {name: cluster.id for name, cluster in found.items()}


def _write(pool: Cluster, members: Sequence[Member], ids: Mapping[str, int]) -> None:
    PoolMember.objects.bulk_create(
        PoolMember(pool=pool, cluster_id=ids[member.cluster], place=place, after_seconds=member.after_seconds)
        for place, member in enumerate(members)
    )


def _changes(before: Sequence[Member], after: Sequence[Member]) -> str:
    """What is different, in words."""
    delays = {member.cluster: member.after_seconds for member in before}
    names = [member.cluster for member in after]
    added = [member for member in after if member.cluster not in delays]
    removed = [name for name in delays if name not in names]
    delayed = [one for one in after if one.cluster in delays and delays[one.cluster] != one.after_seconds]
    changes = [f"added {', '.join(map(str, added))}"] if added else []
    changes += [f"removed {', '.join(removed)}"] if removed else []
    changes += [f"{one.cluster} after {one.after_seconds:,} s, not {delays[one.cluster]:,} s" for one in delayed]
    if [name for name in delays if name in names] != [name for name in names if name in delays]:
        changes.append(f"in the order {', '.join(names)}")
    return "; ".join(changes)


def _why(what: str, reason: str) -> str:
    """For an event. A reason is kept whole; of a long list of clusters the beginning."""
    shown = shortened(what, longest=MAX_REASON - len(reason) - len(": "))
    return f"{shown}: {reason}"[-MAX_REASON:] if reason else shown
