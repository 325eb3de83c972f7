"""Flux's resources and queues as facts."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rainbow.executors.executor import SchedulerSilent
from rainbow.facts import Partition

# What a queue is called where Flux has none by name.
WITHOUT_QUEUES = "default"
MOST_RANKS = 1_000_000

_IDS = re.compile(r"(?P<first>[0-9]{1,9})(?:-(?P<last>[0-9]{1,9}))?")
# Flux Standard Duration (RFC 23).
_DURATION = re.compile(r"(?P<number>[0-9]{1,12}(?:\.[0-9]{0,9})?)(?P<unit>ms|s|m|h|d)?")
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400}

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class FluxResources:
    """All resources, as in RFC 20; the configuration; the version. An unprivileged user may ask for each."""

    described: Json
    configuration: Json
    version: str


@dataclass(frozen=True, slots=True)
class _Node:
    cores: int
    gpus: int
    properties: frozenset[str]


def partitions(resources: FluxResources, *, chosen: str) -> list[Partition]:
    """The queues. `chosen`: that where the site has jobs go that name none. Raises SchedulerSilent."""
    try:
        nodes = list(_nodes(resources.described))
        return [
            partition
            for name, queue in _queues(resources.configuration).items()
            for partition in _partitions(name, queue, nodes, resources.configuration, chosen=chosen)
        ]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SchedulerSilent("Flux described its resources in a way that rainbow does not understand") from error


def _queues(configuration: Json) -> Json:
    queues: Json = configuration.get("queues") or {WITHOUT_QUEUES: {}}
    return queues


def _partitions(name: str, queue: Json, nodes: list[_Node], configuration: Json, *, chosen: str) -> Iterator[Partition]:
    limits, for_all = _limits(queue), _limits(configuration)
    required = frozenset(queue.get("requires", []))
    default = configuration.get("policy", {}).get("jobspec", {}).get("defaults", {}).get("system", {}).get("queue")
    for node, count in Counter(node for node in nodes if required <= node.properties).items():
        yield Partition(
            name=name,
            nodes=count,
            cores_per_node=node.cores,
            gpus_per_node={"": node.gpus},
            longest_seconds=_seconds(limits.get("duration", for_all.get("duration", 0))),
            max_nodes=_most_nodes(limits) or _most_nodes(for_all),
            default=name == (chosen or default or WITHOUT_QUEUES),
            features=tuple(sorted(node.properties)),
        )


def _limits(place: Json) -> Json:
    limits: Json = place.get("policy", {}).get("limits", {})
    return limits


def _most_nodes(limits: Json) -> int:
    """0 is no limit, for which Flux has -1."""
    return max(0, int(limits.get("job-size", {}).get("max", {}).get("nnodes", -1)))


def _seconds(duration: object) -> int:
    """0 for what is no time, as `inf`."""
    found = _DURATION.fullmatch(str(duration))
    return int(float(found["number"]) * _SECONDS[found["unit"] or "s"]) if found else 0


def _nodes(described: Json) -> Iterator[_Node]:
    properties: dict[int, set[str]] = {}
    for name, ranks in described["execution"].get("properties", {}).items():
        for rank in _ids(ranks):
            properties.setdefault(rank, set()).add(str(name))
    for entry in described["execution"]["R_lite"]:
        children = entry.get("children", {})
        cores, gpus = len(_ids(children.get("core", ""))), len(_ids(children.get("gpu", "")))
        for rank in _ids(entry["rank"]):
            yield _Node(cores, gpus, frozenset(properties.get(rank, ())))


def _ids(text: object) -> set[int]:
    """An idset (RFC 22), such as `0-3,7`. Raises ValueError."""
    ids: set[int] = set()
    if not isinstance(text, str):
        raise ValueError(text)
    for part in text.strip("[]").split(",") if text else ():
        found = _IDS.fullmatch(part)
        if not found:
            raise ValueError(part)
        last = int(found["last"] or found["first"])
        if last - int(found["first"]) + len(ids) >= MOST_RANKS:
            raise ValueError(part)
        ids.update(range(int(found["first"]), last + 1))
    return ids
