"""What a cluster says of itself: reported by its agent, and shown to those who may use it."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

# The server's bounds (clusters/facts.py); a test compares them.
MAX_VALUES = 256
MAX_PARTITIONS = 256
MAX_TEXTS = 1024
MAX_GPU_TYPES = 32
MAX_TEXT = 255
MAX_BYTES = 64 * 1024
MAX_COUNT = 2**31 - 1
MAX_NUMBER = 2**53
NAME = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,62}")

Value = int | float | str | tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """Equal nodes of a partition; unequal ones are told apart. 0 and empty mean not told.

    `gpus_per_node` is by type, the type empty where it is unknown; `{"": 0}` tells that there are none.
    `longest_seconds` and `max_nodes`, both of one job, mean no limit if they are 0.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """`values` has a number, a text or a set of texts by name."""

    values: Mapping[str, Value] = field(default_factory=dict)
    partitions: tuple[Partition, ...] = ()

    def by_partition(self) -> dict[str, list[Partition]]:
        """The nodes of each partition."""
        named: dict[str, list[Partition]] = {}
        for partition in self.partitions:
            named.setdefault(partition.name, []).append(partition)
        return named

    @property
    def size(self) -> int:
        """In bytes, as the server measures it, or a few more."""
        values = {name: list(value) if isinstance(value, tuple) else value for name, value in self.values.items()}
        partitions = [told(partition) for partition in self.partitions]
        return len(json.dumps({"values": values, "partitions": partitions}, ensure_ascii=False).encode())


def told(partition: Partition) -> dict[str, Any]:
    """Without what is not told."""
    said = {item.name: getattr(partition, item.name) for item in fields(Partition)}
    return {name: value for name, value in said.items() if value}
