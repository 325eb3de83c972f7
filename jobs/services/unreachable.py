"""Jobs that no cluster in reach can ever take, by what the clusters say of themselves."""

from collections.abc import Collection, Hashable, Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter

from clusters.facts import Facts
from clusters.matching import Demand, Miss, fits, miss
from clusters.models import Cluster, PoolMember
from clusters.parsed_facts import parsed_facts
from clusters.visible import quoted
from jobs.placement import DEMAND_FIELDS, demand_of
from jobs.specs import JobSpec
from rainbow.errors import InvalidArgument

# A job, and the cluster or pool that it is submitted to.
Wanted = tuple[int, JobSpec]
# Of jobs with the nodes of partitions, in a submission: about a quarter of a second. Jobs beyond them are queued.
_COMPARISONS = 50_000
# To find the words for what is lacking takes about as much longer as this.
_WORDS = 20
NEVER = "no cluster that the job may go to can ever run it"
_demanded = attrgetter(*DEMAND_FIELDS)


def refusals_of(wanted: Sequence[Wanted]) -> list[InvalidArgument | None]:
    """For each job why it is refused: it names a cluster that it may not go to, or none can ever take it.

    A job that is to be held is not refused for the latter. Of very many different ones the last are not told what is
    lacking.
    """
    comparison = _Comparison(_clusters_in_reach({home for home, _ in wanted}))
    return [comparison.refusal(home, spec) for home, spec in wanted]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cluster:
    name: str
    facts: Facts

    @property
    def cost(self) -> int:
        """Of a comparison."""
        return 1 + len(self.facts.partitions)


_InReach = dict[int, list[_Cluster]]


def _clusters_in_reach(homes: Collection[int]) -> _InReach:
    """By the cluster or pool that jobs are submitted to."""
    own = Cluster.objects.filter(id__in=homes, pool=False).values_list("id", "id", "name")
    members = PoolMember.objects.filter(pool_id__in=homes).order_by("place")
    in_reach = [*own, *members.values_list("pool_id", "cluster_id", "cluster__name")]
    facts = parsed_facts.of({cluster_id for _, cluster_id, _ in in_reach})
    found: _InReach = {home: [] for home in homes}
    for home, cluster_id, name in in_reach:
        found[home].append(_Cluster(name=name, facts=facts[cluster_id]))
    return found


class _Comparison:
    """Of jobs with clusters; most jobs of a submission are alike, and compared once."""

    def __init__(self, in_reach: _InReach) -> None:
        self._in_reach = in_reach
        self._refusals: dict[Hashable, InvalidArgument | None] = {}
        self._left = self._left_for_words = _COMPARISONS

    def refusal(self, home: int, spec: JobSpec) -> InvalidArgument | None:
        known = {cluster.name for cluster in self._in_reach[home]}
        for name in spec.clusters:
            if name not in known:
                return InvalidArgument(f"jobs submitted here may not go to {quoted(name)}", field="clusters")
        return None if spec.hold_if_unservable else self._unservable(home, spec)

    def _unservable(self, home: int, spec: JobSpec) -> InvalidArgument | None:
        key = (home, frozenset(spec.clusters), *_asked(spec))
        if key not in self._refusals:
            clusters = [one for one in self._in_reach[home] if not spec.clusters or one.name in spec.clusters]
            self._refusals[key] = self._compared(spec, clusters)
        return self._refusals[key]

    def _compared(self, spec: JobSpec, clusters: Sequence[_Cluster]) -> InvalidArgument | None:
        cost = sum(cluster.cost for cluster in clusters)
        if not clusters or self._left < cost:
            return None
        self._left -= cost
        values = dict(zip(DEMAND_FIELDS, _demanded(spec), strict=True))
        demands = [(demand_of(values, cluster.name), cluster) for cluster in clusters]
        if any(fits(demand, cluster.facts) for demand, cluster in demands):
            return None
        if self._left_for_words <= 0:
            return InvalidArgument(NEVER)
        self._left_for_words -= cost * _WORDS
        lacks, name = _nearest(demands)
        return InvalidArgument(f"{lacks}, at {name}", field=lacks.field)


def _asked(spec: JobSpec) -> Iterator[Hashable]:
    """The same for jobs that ask for the same."""
    return (tuple(sorted(value.items())) if isinstance(value, dict) else value for value in _demanded(spec))


def _nearest(demands: Sequence[tuple[Demand, _Cluster]]) -> tuple[Miss, str]:
    """What the cluster lacks that comes nearest, and its name; all lack something."""
    lacking = [(lacks, cluster.name) for demand, cluster in demands if (lacks := miss(demand, cluster.facts))]
    return min(lacking, key=lambda one: one[0].distance)
