"""A cluster's graph of resources (JSON Graph Format, version 2), told as facts."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from clusters.facts import Facts, Partition, Value
from rainbow.errors import InvalidArgument

# Of all walks below the nodes of a graph together; a graph in which many share much would take minutes.
_MOST_STEPS = 200_000
_CONTAINS = "contains"
_MIB = {"MB": 1_000_000 / 2**20, "MiB": 1.0, "GB": 1_000_000_000 / 2**20, "GiB": 1024.0}
# Of a vertex of a subsystem: where it stands, which no job asks for.
_PLACE = frozenset({"basename", "exclusive", "id", "name", "paths", "rank", "size", "uniq_id", "unit"})
_PARTITION = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class Vertex:
    kind: str
    size: int
    metadata: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """`contained` has what each vertex contains."""

    vertices: Mapping[str, Vertex]
    contained: Mapping[str, list[str]]


def read_graph(text: str) -> Graph:
    """Raises InvalidArgument, with the place in the graph."""
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidArgument("must be a graph as JSON", field="nodes") from None
    graph = _mapping(said.get("graph") if isinstance(said, dict) else None, field="nodes.graph")
    nodes = _mapping(graph.get("nodes"), field="nodes.graph.nodes")
    edges = graph.get("edges", [])
    if not isinstance(edges, list):
        raise InvalidArgument("must be a list", field="nodes.graph.edges")
    contained: dict[str, list[str]] = defaultdict(list)
    for edge in edges:
        its = _mapping(edge, field="nodes.graph.edges")
        if its.get("relation") == _CONTAINS:
            contained[str(its.get("source"))].append(str(its.get("target")))
    return Graph(vertices={id: _vertex(id, node) for id, node in nodes.items()}, contained=contained)


def facts_of_cluster(graph: Graph) -> Facts:
    """One partition, with its nodes by what they have. Raises InvalidArgument."""
    walk = _Walk(graph)
    nodes = Counter[_Node]()
    for id, vertex in graph.vertices.items():
        if vertex.kind == "node":
            nodes[walk.node(id)] += vertex.size
    partitions = [
        Partition(
            name=_PARTITION,
            nodes=count,
            cores_per_node=node.cores,
            memory_mib_per_node=node.memory_mib,
            gpus_per_node={"": node.gpus},
            default=True,
        )
        for node, count in nodes.items()
    ]
    if not partitions:
        raise InvalidArgument("must have a vertex of the type node", field="nodes.graph.nodes")
    return Facts(partitions=tuple(partitions))


def values_of_subsystem(subsystem: str, graph: Graph) -> dict[str, Value]:
    """What jobs may ask for, as `io.type`: the texts that its vertices have there."""
    found: dict[str, dict[str, None]] = defaultdict(dict)
    for vertex in graph.vertices.values():
        for name, value in vertex.metadata.items():
            if name not in _PLACE and isinstance(value, str | int | float):
                found[f"{subsystem}.{name}"][_text(value)] = None
    return {name: tuple(texts) for name, texts in found.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Node:
    cores: int = 0
    gpus: int = 0
    memory_mib: int = 0


class _Walk:
    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._steps = 0

    def node(self, id: str) -> _Node:
        cores = gpus = 0
        memory = 0.0
        for vertex in self._below(id):
            if vertex.kind == "core":
                cores += vertex.size
            elif vertex.kind == "gpu":
                gpus += vertex.size
            elif vertex.kind == "memory":
                memory += vertex.size * _MIB.get(str(vertex.metadata.get("unit")), 0.0)
        return _Node(cores=cores, gpus=gpus, memory_mib=int(memory))

    def _below(self, id: str) -> Iterator[Vertex]:
        """Each once, and nothing below another node."""
        seen, left = {id}, [id]
        while left:
            for child in self._graph.contained.get(left.pop(), ()):
                self._steps += 1
                if self._steps > _MOST_STEPS:
                    raise InvalidArgument("its nodes contain too much in common", field="nodes.graph.edges")
                vertex = self._graph.vertices.get(child)
                if vertex and child not in seen and vertex.kind != "node":
                    seen.add(child)
                    left.append(child)
                    yield vertex


def _vertex(id: str, node: object) -> Vertex:
    field = f"nodes.graph.nodes.{id[:40]}"
    metadata = _mapping(_mapping(node, field=field).get("metadata", {}), field=f"{field}.metadata")
    size = metadata.get("size", 1)
    if isinstance(size, bool) or not isinstance(size, int) or not 0 <= size < 2**31:
        raise InvalidArgument("must be a number from 0 to 2,147,483,647", field=f"{field}.metadata.size")
    return Vertex(kind=str(metadata.get("type", "")), size=size, metadata=metadata)


def _mapping(said: object, *, field: str) -> Mapping[str, Any]:
    if not isinstance(said, dict):
        raise InvalidArgument("must be an object", field=field)
    return said


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
