"""Clusters as the later generation draws them: JSON Graph Format, version 2."""

import json
from typing import Any


def graph_of(nodes: int, cores: int, *, gpus: int = 0) -> str:
    """A cluster with a rack of equal nodes, as the original draws one."""
    vertices: dict[str, Any] = {"0": vertex("cluster"), "1": vertex("rack")}
    edges = [edge("0", "1"), {"source": "1", "target": "0", "relation": "in"}]
    for node in range(nodes):
        vertices[f"n{node}"] = vertex("node")
        edges.append(edge("1", f"n{node}"))
        for kind, count in (("core", cores), ("gpu", gpus)):
            for number in range(count):
                id = f"n{node}{kind}{number}"
                vertices[id] = vertex(kind)
                edges.append(edge(f"n{node}", id))
    return json.dumps({"graph": {"directed": True, "nodes": vertices, "edges": edges}})


def vertex(kind: str, **metadata: Any) -> dict[str, Any]:
    return {"label": kind, "metadata": {"type": kind, "size": 1, "unit": "", **metadata}}


def edge(source: str, target: str) -> dict[str, str]:
    return {"source": source, "target": target, "relation": "contains"}
