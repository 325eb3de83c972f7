"""What a cluster can take: what its agent asks for, what is kept of that, and why a job is not among it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Self


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """The most that a job may have in one of its fields."""

    name: str
    field: str
    most: int
    unit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What a cluster said that it can take when it asked for jobs. 0 and empty mean any."""

    max_nodes: int = 0
    max_tasks: int = 0
    max_cores: int = 0
    max_time_limit_seconds: int = 0
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def limits(self) -> Iterator[Limit]:
        """Those that were said. A job's time limit that was not said is 0, and so within any."""
        for limit in (
            Limit(name="max_nodes", field="nodes", most=self.max_nodes, unit="nodes"),
            Limit(name="max_tasks", field="tasks", most=self.max_tasks, unit="tasks"),
            Limit(name="max_cores", field="cores", most=self.max_cores, unit="cores"),
            Limit(
                name="max_time_limit_seconds",
                field="time_limit_seconds",
                most=self.max_time_limit_seconds,
                unit="seconds",
            ),
        ):
            if limit.most:
                yield limit

    def admit(self, sizes: Mapping[str, int]) -> bool:
        """Whether a job of these sizes, by field, is within the limits; a size that is not known is."""
        return all(sizes.get(limit.field, 0) <= limit.most for limit in self.limits)

    def said(self) -> dict[str, object]:
        """What was said, without the rest, for `Cluster.last_bounds`."""
        named = {item.name: getattr(self, item.name) for item in fields(self)}
        return {name: value for name, value in named.items() if value}

    @classmethod
    def read(cls, said: Mapping[str, Any]) -> Self:
        """From `Cluster.last_bounds`; what another release wrote there and this one does not know is left out."""
        return cls(**{item.name: said[item.name] for item in fields(cls) if item.name in said})
