"""What a cluster says of itself, for people and for matching."""

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any, Self

from clusters.needs import NAME
from clusters.validation import check_line, check_range
from rainbow.errors import InvalidArgument

MAX_VALUES = 256
MAX_PARTITIONS = 256
MAX_TEXTS = 1024  # in one set
MAX_GPU_TYPES = 32
MAX_TEXT = 255
MAX_BYTES = 64 * 1024  # of all facts, as JSON
MAX_COUNT = 2**31 - 1
MAX_NUMBER = 2**53

Value = int | float | str | tuple[str, ...]

_NAME = re.compile(NAME)


# Neither has slots, since what follows from them is found once.
@dataclass(frozen=True, kw_only=True)
class Partition:
    """Equal nodes of a partition; a partition of unequal nodes is told in several, all of its name.

    0 and empty mean not told. `gpus_per_node` is by type, the type empty where it is unknown; `{"": 0}` tells that
    there are none. `longest_seconds` and `max_nodes`, both of one job, mean no limit if they are 0.
    """

    name: str
    nodes: int = 0
    cores_per_node: int = 0
    memory_mib_per_node: int = 0
    gpus_per_node: Mapping[str, int] = field(default_factory=dict)
    longest_seconds: int = 0
    max_nodes: int = 0
    default: bool = False
    features: tuple[str, ...] = ()

    @cached_property
    def gpus(self) -> int:
        """Of any type, of one node."""
        return sum(self.gpus_per_node.values())

    def said(self) -> dict[str, Any]:
        """What was told, without the rest."""
        named = {item.name: getattr(self, item.name) for item in fields(self)}
        return {name: list(value) if name == "features" else value for name, value in named.items() if value}

    @classmethod
    def read(cls, said: object) -> Self | None:
        if not isinstance(said, Mapping) or not isinstance(said.get("name"), str):
            return None
        counts = {name: said[name] for name in COUNTS if _is_count(said.get(name))}
        gpus = said.get("gpus_per_node")
        known = gpus.items() if isinstance(gpus, Mapping) else ()
        return cls(
            name=said["name"],
            gpus_per_node={str(kind): count for kind, count in known if _is_count(count)},
            default=said.get("default") is True,
            features=_texts(said.get("features")),
            **counts,
        )


COUNTS = ("nodes", "cores_per_node", "memory_mib_per_node", "longest_seconds", "max_nodes")


@dataclass(frozen=True, kw_only=True)
class Facts:
    """`values` has a number, a text or a set of texts by name."""

    values: Mapping[str, Value] = field(default_factory=dict)
    partitions: tuple[Partition, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.values or self.partitions)

    @cached_property
    def by_partition(self) -> dict[str, list[Partition]]:
        """The nodes of each partition, in the order of the partitions."""
        named: dict[str, list[Partition]] = {}
        for partition in self.partitions:
            named.setdefault(partition.name, []).append(partition)
        return named

    @cached_property
    def known(self) -> dict[str, Value]:
        """What needs are about: what partitions tell, by the names of docs/concepts.md; a value goes before that."""
        derived = {**_sizes(self.by_partition.values()), **_sets(self.partitions)}
        told = {name: value for name, value in derived.items() if value}
        return {**told, **_gpu_counts(self.by_partition.values()), **self.values}

    def has_member(self, name: str, text: str) -> bool:
        """Whether the set of this name has the text. Sets may be long, and many jobs are compared with them."""
        if name not in self._sets:
            value = self.known.get(name)
            self._sets[name] = frozenset(value) if isinstance(value, tuple) else frozenset()
        return text in self._sets[name]

    @cached_property
    def _sets(self) -> dict[str, frozenset[str]]:
        return {}

    def said(self) -> dict[str, Any]:
        """As JSON, for `Cluster.facts`."""
        values = {name: list(value) if isinstance(value, tuple) else value for name, value in self.values.items()}
        content = {"values": values, "partitions": [partition.said() for partition in self.partitions]}
        return {name: told for name, told in content.items() if told}

    @classmethod
    def read(cls, said: Mapping[str, Any]) -> Self:
        """From `Cluster.facts`; what another release wrote there and this one does not know is left out."""
        values, partitions = said.get("values"), said.get("partitions")
        return cls(
            values=dict(_values(values)) if isinstance(values, Mapping) else {},
            partitions=tuple(filter(None, map(Partition.read, partitions))) if isinstance(partitions, list) else (),
        )


def _sizes(partitions: Collection[Sequence[Partition]]) -> dict[str, Value]:
    nodes = [node for partition in partitions for node in partition]
    return {
        "nodes": max((sum(node.nodes for node in partition) for partition in partitions), default=0),
        "cores": max((sum(node.nodes * node.cores_per_node for node in same) for same in partitions), default=0),
        "cores_per_node": max((node.cores_per_node for node in nodes), default=0),
        "memory_mib_per_node": max((node.memory_mib_per_node for node in nodes), default=0),
    }


def _gpu_counts(partitions: Collection[Sequence[Partition]]) -> dict[str, Value]:
    """That there are none is a fact as well."""
    told = [node for partition in partitions for node in partition if node.gpus_per_node]
    if not told:
        return {}
    most = max(sum(node.nodes * node.gpus for node in partition) for partition in partitions)
    return {"gpus": most, "gpus_per_node": max(node.gpus for node in told)}


def _sets(nodes: Sequence[Partition]) -> dict[str, Value]:
    return {
        "gpu_type": _set(kind for node in nodes for kind, count in node.gpus_per_node.items() if count and kind),
        "partition": _set(node.name for node in nodes),
        "feature": _set(feature for node in nodes for feature in node.features),
    }


def _set(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(texts))


def check_counts(*, values: int, partitions: int) -> None:
    """Raises InvalidArgument, before any of them is looked at."""
    _check_most(values, MAX_VALUES, field="facts.values")
    _check_most(partitions, MAX_PARTITIONS, field="facts.partitions")


def check_facts(facts: Facts) -> None:
    """Raises InvalidArgument with the name of the field."""
    check_counts(values=len(facts.values), partitions=len(facts.partitions))
    for name, value in facts.values.items():
        _check_name(name)
        _check_value(value, field=f"facts.values.{name}")
    for place, partition in enumerate(facts.partitions):
        _check_partition(partition, field=f"facts.partitions.{place}")
    size = len(json.dumps(facts.said(), ensure_ascii=False).encode())
    if size > MAX_BYTES:
        raise InvalidArgument(f"must be at most {MAX_BYTES:,} bytes as JSON, not {size:,}", field="facts")


def _check_partition(partition: Partition, *, field: str) -> None:
    check_line(partition.name, field=f"{field}.name", longest=MAX_TEXT, required=True)
    for name in COUNTS:
        check_range(getattr(partition, name), field=f"{field}.{name}", lowest=0, highest=MAX_COUNT)
    _check_most(len(partition.gpus_per_node), MAX_GPU_TYPES, field=f"{field}.gpus_per_node")
    for kind, count in partition.gpus_per_node.items():
        check_line(kind, field=f"{field}.gpus_per_node", longest=MAX_TEXT)
        check_range(count, field=f"{field}.gpus_per_node", lowest=0, highest=MAX_COUNT)
    _check_texts(partition.features, field=f"{field}.features")


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise InvalidArgument(
            "names must be 1 to 63 letters, digits, underscores, dots and hyphens, the first a letter",
            field="facts.values",
        )


def _check_value(value: Value, *, field: str) -> None:
    if isinstance(value, tuple):
        _check_texts(value, field=field)
    elif isinstance(value, str):
        check_line(value, field=field, longest=MAX_TEXT)
    elif not -MAX_NUMBER <= value <= MAX_NUMBER:
        raise InvalidArgument(f"must be a number from {-MAX_NUMBER:,} to {MAX_NUMBER:,}", field=field)


def _check_texts(texts: tuple[str, ...], *, field: str) -> None:
    _check_most(len(texts), MAX_TEXTS, field=field)
    for text in texts:
        check_line(text, field=field, longest=MAX_TEXT, required=True)


def _check_most(count: int, most: int, *, field: str) -> None:
    if count > most:
        raise InvalidArgument(f"must be at most {most:,}, not {count:,}", field=field)


def _values(said: Mapping[Any, Any]) -> Iterator[tuple[str, Value]]:
    for name, value in said.items():
        if isinstance(value, list):
            yield str(name), _texts(value)
        elif isinstance(value, str) or (isinstance(value, int | float) and not isinstance(value, bool)):
            yield str(name), value


def _texts(said: object) -> tuple[str, ...]:
    return tuple(text for text in said if isinstance(text, str)) if isinstance(said, list) else ()


def _is_count(said: object) -> bool:
    return isinstance(said, int) and not isinstance(said, bool) and said >= 0
