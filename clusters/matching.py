"""Whether a cluster can ever run what a job asks for."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from clusters.facts import Facts, Partition, Value
from clusters.needs import Need, Op, parse_need

_SHOWN = 5  # of the members of a set
_OTHER_VALUE = 0.9  # nearer than a cluster that does not tell it


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What a job asks of a cluster. 0 and empty mean not said.

    If a demand fits, so does one with smaller numbers. The tasks count as `tasks_per_node` there: fewer nodes for as
    many tasks are no smaller demand.
    """

    nodes: int = 1
    tasks: int = 0
    cores_per_task: int = 0
    gpus_per_task: int = 0
    gpu_type: str = ""
    memory_mib_per_node: int = 0
    time_limit_seconds: int = 0
    partition: str = ""
    needs: Sequence[str] = ()

    @property
    def tasks_per_node(self) -> int:
        return max(1, -(-self.tasks // self.nodes))

    @property
    def cores_per_node(self) -> int:
        return self.tasks_per_node * max(1, self.cores_per_task)

    @property
    def gpus_per_node(self) -> int:
        return self.tasks_per_node * self.gpus_per_task


@dataclass(frozen=True, slots=True, kw_only=True)
class Miss:
    """What a cluster lacks, as `wants 16 nodes; the most is 8 (partition batch)`.

    `field` is that of the job. The cluster with the least `distance` comes nearest: each size that is too small adds
    the part that is missing of it, another value a little less than 1, anything else 1.
    """

    field: str
    wanted: str
    has: str
    partition: str = ""
    distance: float = 1.0

    def __str__(self) -> str:
        return f"{self.wanted}; {self.has}" + (f" (partition {self.partition})" if self.partition else "")


def miss(demand: Demand, facts: Facts) -> Miss | None:
    """None if the demand fits: one partition has all of its sizes, and the facts satisfy its needs.

    What a cluster does not tell excludes nothing, but satisfies no need other than `!NAME`.
    """
    if fits(demand, facts):
        return None
    found = [*_unmet_needs(demand.needs, facts), *_nearest(demand, facts)]
    return replace(found[0], distance=_distance(found))


def fits(demand: Demand, facts: Facts) -> bool:
    """Whether `miss` is None, for the price of a few comparisons for each partition."""
    if demand.needs and any(not _is_met(need, facts) for need in map(_parsed, demand.needs)):
        return False
    told = facts.by_partition
    return not told or any(_is_large_enough(demand, told[name]) for name in _named(demand, told) if name in told)


def _is_large_enough(demand: Demand, partition: Sequence[Partition]) -> bool:
    nodes, left = demand.nodes, demand.nodes
    cores, gpus, memory = demand.cores_per_node, demand.gpus_per_node, demand.memory_mib_per_node
    for node in partition:
        if (
            (cores <= node.cores_per_node or not node.cores_per_node)
            and (not gpus or not node.gpus_per_node or gpus <= _gpus(node, demand.gpu_type))
            and (memory <= node.memory_mib_per_node or not node.memory_mib_per_node)
        ):
            left = left - node.nodes if node.nodes else 0
            if left <= 0:
                break
    else:
        return False
    most = max(node.max_nodes for node in partition)
    return (nodes <= most or not most) and next(_too_short(demand, partition), None) is None


@lru_cache(maxsize=1_000)
def _parsed(need: str) -> Need:
    return parse_need(need)


def _named(demand: Demand, told: Mapping[str, object]) -> Iterable[str]:
    return demand.partition.split(",") if demand.partition else told


def _unmet_needs(needs: Iterable[str], facts: Facts) -> Iterator[Miss]:
    for text in needs:
        need = _parsed(text)
        value = facts.known.get(need.name)
        if not _is_met(need, facts):
            yield Miss(field="needs", wanted=f"needs {text}", has=_has(need, value), distance=_shortfall(need, value))


def _is_met(need: Need, facts: Facts) -> bool:
    value = facts.known.get(need.name)
    match need.op:
        case Op.HAS:
            return _is_true(value)
        case Op.LACKS:
            return not _is_true(value)
        case Op.EQUALS:
            if isinstance(value, tuple):
                return facts.has_member(need.name, str(need.value))
            return value is not None and str(need.value) == (value if isinstance(value, str) else _spoken(value))
        case Op.AT_LEAST:
            return isinstance(value, int | float) and value >= _number(need)


def _is_true(value: Value | None) -> bool:
    return bool(value) and value != "false"


def _number(need: Need) -> float:
    assert isinstance(need.value, int | float)
    return need.value


def _shortfall(need: Need, value: Value | None) -> float:
    if need.op is Op.EQUALS and value is not None:
        return _OTHER_VALUE
    if need.op is not Op.AT_LEAST or not isinstance(value, int | float):
        return 1.0
    return _missing(_number(need), max(0, value))


def _has(need: Need, value: Value | None) -> str:
    if value is None:
        return "it tells no such fact"
    if need.op is Op.AT_LEAST and isinstance(value, int | float):
        return f"the most is {_spoken(value)}"
    return f"it has {_spoken(value)}"


def _spoken(value: Value) -> str:
    if isinstance(value, tuple):
        more = len(value) - _SHOWN
        return ", ".join(value[:_SHOWN]) + (f" and {more} more" if more > 0 else "") if value else "none"
    if isinstance(value, str):
        return value or "an empty one"
    return str(int(value)) if value == int(value) else str(value)


def _nearest(demand: Demand, facts: Facts) -> list[Miss]:
    """What the nearest partition lacks of the sizes; nothing if it fits, or if no partition is told."""
    told = facts.by_partition
    candidates = [_lacking(demand, told[name]) for name in _named(demand, told) if name in told]
    if candidates or not told:
        return min(candidates, key=_distance, default=[])
    there = _spoken(tuple(told))
    return [Miss(field="partition", wanted=f"wants partition {demand.partition}", has=f"it has {there}")]


def _lacking(demand: Demand, partition: Sequence[Partition]) -> list[Miss]:
    of_nodes = [list(_lacking_of_a_node(demand, node)) for node in partition]
    large_enough = [node for node, lacking in zip(partition, of_nodes, strict=True) if not lacking]
    nearest = min(of_nodes, key=_distance)
    found = [*_too_few(demand, partition, large_enough), *nearest, *_too_short(demand, partition)]
    name = partition[0].name
    return [replace(one, partition=name) for one in found]


def _lacking_of_a_node(demand: Demand, node: Partition) -> Iterator[Miss]:
    if 0 < node.cores_per_node < demand.cores_per_node:
        wanted = f"wants {_counted(demand.cores_per_node, 'core')} a node"
        field = "cores_per_task" if demand.cores_per_task > 1 else "tasks"
        yield _too_small(field, wanted, demand.cores_per_node, node.cores_per_node)
    if node.gpus_per_node and _gpus(node, demand.gpu_type) < demand.gpus_per_node:
        kind = f"{demand.gpu_type} GPU" if demand.gpu_type else "GPU"
        wanted = f"wants {_counted(demand.gpus_per_node, kind)} a node"
        yield _too_small("gpus_per_task", wanted, demand.gpus_per_node, _gpus(node, demand.gpu_type))
    if 0 < node.memory_mib_per_node < demand.memory_mib_per_node:
        wanted = f"wants {demand.memory_mib_per_node:,} MiB of memory a node"
        yield _too_small("memory_mib_per_node", wanted, demand.memory_mib_per_node, node.memory_mib_per_node)


def _too_few(demand: Demand, partition: Sequence[Partition], large_enough: Sequence[Partition]) -> Iterator[Miss]:
    """Counts the nodes that are large enough, or all of them if none is: their size is told apart."""
    counted = large_enough or partition
    has = sum(node.nodes for node in counted)
    wanted = f"wants {_counted(demand.nodes, 'node')}"
    if all(node.nodes for node in counted) and has < demand.nodes:
        smaller = len(counted) < len(partition)
        yield _too_small("nodes", wanted + (" of this size" if smaller else ""), demand.nodes, has)
    elif (most := max(node.max_nodes for node in partition)) and most < demand.nodes:
        yield _too_small("nodes", f"{wanted} in one job", demand.nodes, most)


def _too_short(demand: Demand, partition: Sequence[Partition]) -> Iterator[Miss]:
    longest = max(node.longest_seconds for node in partition)
    if all(node.longest_seconds for node in partition) and longest < demand.time_limit_seconds:
        wanted = f"wants {_counted(demand.time_limit_seconds, 'second')}"
        yield _too_small("time_limit_seconds", wanted, demand.time_limit_seconds, longest)


def _too_small(field: str, wanted: str, number: int, has: int) -> Miss:
    return Miss(field=field, wanted=wanted, has=f"the most is {has:,}", distance=_missing(number, has))


def _missing(wanted: float, has: float) -> float:
    """From 0 to 1."""
    return 1 - has / wanted if wanted else 1.0


def _distance(found: Sequence[Miss]) -> float:
    return sum(one.distance for one in found)


def _gpus(node: Partition, kind: str) -> int:
    return node.gpus_per_node.get(kind, 0) if kind else node.gpus


def _counted(count: int, thing: str) -> str:
    return f"{count:,} {thing}" if count == 1 else f"{count:,} {thing}s"
