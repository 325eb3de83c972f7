"""The clusters of pools, and whether they take jobs."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from clusters.models import Cluster, PoolMember
from jobs.sql.queues import pools_of


def members_by_pool(
    pool_ids: Iterable[int], *, known: Mapping[int, Cluster] | None = None
) -> dict[int, list[PoolMember]]:
    """The members of each of these pools in their order, with their clusters. `known`: all clusters, by id."""
    members: dict[int, list[PoolMember]] = {pool_id: [] for pool_id in pool_ids}
    if not members:
        return members
    found = PoolMember.objects.filter(pool_id__in=members).order_by("pool_id", "place")
    if known is None:
        found = found.select_related("cluster").defer("cluster__facts")
    for member in found:
        if known is not None:
            # One that was registered since is not there.
            if member.cluster_id not in known:
                continue
            member.cluster = known[member.cluster_id]
        members[member.pool_id].append(member)
    return members


def last_asked_at(members: Iterable[PoolMember]) -> datetime | None:
    """When the last of the clusters that take jobs asked for them; a paused one takes none, however often it asks."""
    clusters = (member.cluster for member in members)
    asked = (one.last_asked_at for one in clusters if not one.paused_at and not one.not_ready)
    return max(filter(None, asked), default=None)


def delays_by_pool(cluster_ids: Iterable[int]) -> dict[int, dict[str, int]]:
    """The names of the pools that each of these clusters is in, and after how many seconds it may take a job there."""
    delays: dict[int, dict[str, int]] = {cluster_id: {} for cluster_id in cluster_ids}
    for cluster_id, pool, after_seconds in pools_of(delays) if delays else ():
        delays[cluster_id][pool] = after_seconds
    return delays
