"""Into which queue a job goes: that of the jobs which any cluster can take, or cannot, just like it.

Sizes count by classes, each twice as wide as the one before (1, 2, 3-4, 5-8 ...), so that millions of jobs make
hundreds of queues.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from operator import attrgetter
from typing import Any, NamedTuple, Self

from clusters.matching import Demand
from jobs.models import Job
from jobs.specs import MAX_INT, JobSpec

# What of a job is a size, more of which never fits where less does not.
SIZES = ("nodes", "tasks", "time_limit_seconds")
# Those that a request for jobs may bound.
BOUNDED = ("nodes", "tasks", "time_limit_seconds")
# All fields of a job that decide its queue.
PLACING_FIELDS = SIZES
_placing = attrgetter(*PLACING_FIELDS)


class Range(NamedTuple):
    least: int
    most: int


# Compared by identity: the same definition is made once, as long as it is in use.
@dataclass(frozen=True, eq=False, kw_only=True)
class Definition:
    """What the jobs of a queue have in common. `cluster_id` is the cluster or pool that they were submitted to."""

    cluster_id: int
    sizes: Mapping[str, Range]
    # The clusters that gave its jobs back, and that the others go before.
    without: tuple[int, ...] = ()

    @property
    def plain(self) -> bool:
        """Whether published clients may see its jobs, if it is a cluster's."""
        return True

    @property
    def mixed(self) -> "Definition":
        """The queue for what is left when there are too many queues: of any size."""
        return replace(self, sizes=_ANY_SIZE)

    @property
    def least(self) -> Demand:
        """What the smallest of its jobs asks for."""
        nodes, tasks = self.sizes["nodes"], self.sizes["tasks"]
        fewest = max(1, nodes.least)
        return self._demand(fewest, fewest * -(-tasks.least // max(1, nodes.most)), "least")

    @property
    def most(self) -> Demand:
        """What the largest asks for: as many tasks on each node as the fewest nodes would have."""
        nodes, tasks = self.sizes["nodes"], self.sizes["tasks"]
        return self._demand(nodes.most, nodes.most * -(-tasks.most // max(1, nodes.least)), "most")

    def _demand(self, nodes: int, tasks: int, end: str) -> Demand:
        sizes = {name: getattr(self.sizes[name], end) for name in SIZES if name not in ("nodes", "tasks")}
        return Demand(nodes=nodes, tasks=tasks, **sizes)

    def as_json(self) -> str:
        """For `Queue.definition`."""
        said = {"sizes": self.sizes, "without": self.without}
        return json.dumps({name: value for name, value in said.items() if value}, sort_keys=True)

    @classmethod
    def read(cls, cluster_id: int, said: Mapping[str, Any]) -> Self:
        """From `Queue.definition`."""
        sizes = {name: Range(*said["sizes"][name]) for name in SIZES}
        return cls(cluster_id=cluster_id, sizes=sizes, without=tuple(said.get("without", ())))

    @cached_property
    def digest(self) -> bytes:
        return hashlib.sha256(f"{self.cluster_id} {self.as_json()}".encode()).digest()


_ANY_SIZE = {name: Range(0, MAX_INT) for name in SIZES}


def definition_of(cluster_id: int, job: JobSpec | Job) -> Definition:
    """The queue of a job that is submitted to this cluster or pool."""
    definition = _definition(cluster_id, *_placing(job))
    given_back = job.given_back if isinstance(job, Job) else None
    return replace(definition, without=tuple(sorted(map(int, given_back)))) if given_back else definition


@lru_cache(maxsize=10_000)
def _definition(cluster_id: int, *sizes: int) -> Definition:
    return Definition(cluster_id=cluster_id, sizes=dict(zip(SIZES, map(class_of, sizes), strict=True)))


def class_of(size: int) -> Range:
    """The class of a size from 0; 0 (not said), 1 and 2 are alone in theirs."""
    if size <= 2:
        return Range(size, size)
    most = 1 << (size - 1).bit_length()
    return Range(most // 2 + 1, min(most, MAX_INT))


def demand_of(sizes: Mapping[str, Any]) -> Demand:
    """What a job of these sizes (PLACING_FIELDS) asks for."""
    return Demand(**sizes)
