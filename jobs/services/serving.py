"""Which clusters serve which queues: computed when a queue is made, and anew when pools or facts change."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from django.db import transaction
from django.db.models import QuerySet

from clusters.facts import Facts
from clusters.matching import fits
from clusters.models import Cluster, PoolMember
from clusters.parsed_facts import parsed_facts
from jobs.models import Serves
from jobs.placement import Definition
from jobs.sql.queues import queues_of, write_serves

_PART = 500

# A queue's id and what its jobs have in common.
Defined = tuple[int, Definition]


@dataclass(frozen=True, kw_only=True)
class _Candidate:
    """A cluster that jobs of a pool, or its own, may go to."""

    cluster: Cluster
    after_seconds: int
    facts: Facts

    def may_have(self, definition: Definition) -> bool:
        chosen = self._is_alone(definition) or not definition.clusters or self.cluster.name in definition.clusters
        return chosen and self.cluster.id not in definition.without

    def delay(self, definition: Definition) -> int:
        if self._is_alone(definition) or not definition.clusters:
            return self.after_seconds
        return definition.clusters.index(self.cluster.name) * definition.spill_after_seconds

    def _is_alone(self, definition: Definition) -> bool:
        """Jobs were submitted to it, or moved there; that they name clusters of a pool does not matter."""
        return self.cluster.id == definition.cluster_id

    def fits_some_of(self, definition: Definition) -> bool:
        return fits(definition.least(self.cluster.name), self.facts)

    def fits_all_of(self, definition: Definition) -> bool:
        return not definition.mixed and fits(definition.most(self.cluster.name), self.facts)


def serve(queues: Sequence[Defined]) -> None:
    """Finds the clusters that serve these new queues. Call it in the transaction that makes them."""
    _write(queues, _candidates({definition.cluster_id for _, definition in queues}))


@transaction.atomic
def pool_changed(*, pool_id: int) -> None:
    """Applies the members of a pool to the jobs that wait in it."""
    _serve_anew({pool_id}, among=None)


@transaction.atomic
def facts_changed(*, cluster_ids: Collection[int]) -> None:
    """Applies what clusters say of themselves to the jobs that wait for them."""
    pools = PoolMember.objects.filter(cluster_id__in=cluster_ids).values_list("pool_id", flat=True)
    _serve_anew({*cluster_ids, *pools}, among=cluster_ids)


def lock_with_pools(cluster_ids: Collection[int]) -> None:
    """Locks these clusters and pools, the pools that they are in, and all those pools' members, in the lock order.

    Before the first of them is changed in a transaction that calls `facts_changed`, or puts jobs into queues later.
    """
    pools = set(cluster_ids) | set(
        PoolMember.objects.filter(cluster_id__in=cluster_ids).values_list("pool_id", flat=True)
    )
    members = PoolMember.objects.filter(pool_id__in=pools).values_list("cluster_id", flat=True)
    wanted = {*cluster_ids, *pools, *members}
    list(in_lock_order(wanted).values_list("id"))


def in_lock_order(cluster_ids: Collection[int]) -> QuerySet[Cluster]:
    """These clusters and pools, locked as they are read (docs/development.md)."""
    return Cluster.objects.filter(id__in=cluster_ids).order_by("id").select_for_update(no_key=True)


def _serve_anew(homes: Collection[int], *, among: Collection[int] | None) -> None:
    """Finds which clusters serve the queues of these clusters and pools; `among` names those that have changed."""
    candidates = _candidates(homes, among)
    defined = ((id, Definition.read(home, json.loads(definition))) for id, home, definition in queues_of(homes))
    while part := list(islice(defined, _PART)):
        served = Serves.objects.filter(queue_id__in=[queue_id for queue_id, _ in part])
        (served if among is None else served.filter(cluster_id__in=among)).delete()
        _write(part, candidates)


def _candidates(homes: Collection[int], among: Collection[int] | None = None) -> dict[int, list[_Candidate]]:
    """By the cluster or pool that jobs are submitted to. Locks them: they stay as they are until the commit."""
    members = _members(homes)
    clusters = _locked({*homes, *(member.cluster_id for member in members)})
    # A pool may have been given other members before its lock was had.
    members = _members(homes)
    if missing := {member.cluster_id for member in members} - clusters.keys():
        clusters |= _locked(missing)
    delays = [(home, home, 0) for home in homes if not clusters[home].pool]
    delays += [(member.pool_id, member.cluster_id, member.after_seconds) for member in members]
    concerned = [one for one in delays if among is None or one[1] in among]
    facts = parsed_facts.of({cluster_id for _, cluster_id, _ in concerned})
    found: dict[int, list[_Candidate]] = {home: [] for home in homes}
    for home, cluster_id, after_seconds in concerned:
        candidate = _Candidate(cluster=clusters[cluster_id], after_seconds=after_seconds, facts=facts[cluster_id])
        found[home].append(candidate)
    return found


def _members(pool_ids: Collection[int]) -> list[PoolMember]:
    return list(PoolMember.objects.filter(pool_id__in=pool_ids).order_by("place"))


def _locked(cluster_ids: Collection[int]) -> dict[int, Cluster]:
    return {cluster.id: cluster for cluster in in_lock_order(cluster_ids).defer("facts")}


def _write(queues: Iterable[Defined], candidates: Mapping[int, Sequence[_Candidate]]) -> None:
    rows = [
        (queue_id, candidate.cluster.id, candidate.delay(definition), candidate.fits_all_of(definition))
        for queue_id, definition in queues
        for candidate in candidates[definition.cluster_id]
        if candidate.may_have(definition) and candidate.fits_some_of(definition)
    ]
    names = ("queue_id", "cluster_id", "after_seconds", "whole")
    if rows:
        write_serves(dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)))
