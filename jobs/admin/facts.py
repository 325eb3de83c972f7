"""What a cluster says of itself, as its page shows it. All of it is an agent's words."""

from typing import Any

from clusters.facts import Facts, Partition, Value
from clusters.models import Cluster


def facts_shown(cluster: Cluster) -> dict[str, Any]:
    facts = Facts.read(cluster.facts)
    return {
        "partitions": [(one, _gpus(one), ", ".join(one.features)) for one in facts.partitions],
        "facts": [(name, _spoken(value)) for name, value in sorted(facts.values.items())],
    }


def _gpus(partition: Partition) -> str:
    """Of a node; empty where they are not told."""
    counts = sorted(partition.gpus_per_node.items())
    return ", ".join(f"{count:,} {kind}".rstrip() for kind, count in counts)


def _spoken(value: Value) -> str:
    if isinstance(value, tuple):
        return ", ".join(value)
    return value if isinstance(value, str) else f"{value:,}"
