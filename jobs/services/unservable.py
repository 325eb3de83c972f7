"""Whether any cluster that a job may go to can ever take it, by what the clusters say of themselves."""

from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass
from operator import attrgetter

from clusters.facts import Facts
from clusters.matching import Miss, miss
from clusters.models import Cluster, PoolMember
from jobs.placement import DEMAND_FIELDS, demand_of
from jobs.specs import JobSpec
from rainbow.errors import InvalidArgument

# A job, and the cluster or pool that it is submitted to.
Wanted = tuple[int, JobSpec]
# Of jobs with clusters, in a submission: about a quarter of a second. Jobs beyond them are queued.
_COMPARISONS = 5_000
_demanded = attrgetter(*DEMAND_FIELDS)


def unservable(wanted: Sequence[Wanted]) -> list[InvalidArgument | None]:
    """For each job None if a cluster can take it; otherwise what the one lacks that comes nearest."""
    in_reach = _clusters_in_reach({home for home, _ in wanted})
    left = _COMPARISONS
    nearest: dict[Hashable, _Nearest | None] = {}
    for home, spec in wanted:
        if (key := _key(home, spec)) not in nearest and left >= len(in_reach[home]):
            left -= len(in_reach[home])
            nearest[key] = _nearest(spec, in_reach[home])
    found = (nearest.get(_key(home, spec)) for home, spec in wanted)
    return [_refusal(one) if one else None for one in found]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cluster:
    name: str
    facts: Facts


# What a cluster lacks, and its name.
_Nearest = tuple[Miss, str]


def _clusters_in_reach(homes: Collection[int]) -> dict[int, list[_Cluster]]:
    """By the cluster or pool that jobs are submitted to."""
    own = Cluster.objects.filter(id__in=homes, pool=False).values_list("id", "name", "facts")
    members = PoolMember.objects.filter(pool_id__in=homes).order_by("place")
    found: dict[int, list[_Cluster]] = {home: [] for home in homes}
    for home, name, facts in [*own, *members.values_list("pool_id", "cluster__name", "cluster__facts")]:
        found[home].append(_Cluster(name=name, facts=Facts.read(facts)))
    return found


def _key(home: int, spec: JobSpec) -> Hashable:
    """The same for jobs that ask for the same."""
    return home, tuple(tuple(sorted(it.items())) if isinstance(it, dict) else it for it in _demanded(spec))


def _nearest(spec: JobSpec, clusters: Sequence[_Cluster]) -> _Nearest | None:
    """None if one of the clusters lacks nothing."""
    values = dict(zip(DEMAND_FIELDS, _demanded(spec), strict=True))
    lacking: list[_Nearest] = []
    for cluster in clusters:
        found = miss(demand_of(values, cluster.name), cluster.facts)
        if found is None:
            return None
        lacking.append((found, cluster.name))
    return min(lacking, key=lambda one: one[0].distance, default=None)


def _refusal(nearest: _Nearest) -> InvalidArgument:
    lacks, name = nearest
    return InvalidArgument(f"{lacks}, at {name}", field=lacks.field)
