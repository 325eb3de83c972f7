"""Into which queue a job goes: that of the jobs which any cluster can take, or cannot, just like it.

Sizes count by classes, each twice as wide as the one before (1, 2, 3-4, 5-8 ...), so that millions of jobs make
hundreds of queues.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from operator import attrgetter
from typing import Any, NamedTuple, Self

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

    @property
    def plain(self) -> bool:
        return True

    @property
    def mixed(self) -> "Definition":
        """The queue for what is left when there are too many queues: of any size."""
        return Definition(cluster_id=self.cluster_id, sizes=_ANY_SIZE)

    def as_json(self) -> str:
        """For `Queue.definition`."""
        return json.dumps({"sizes": self.sizes}, sort_keys=True)

    @classmethod
    def read(cls, cluster_id: int, said: Mapping[str, Any]) -> Self:
        """From `Queue.definition`."""
        return cls(cluster_id=cluster_id, sizes={name: Range(*said["sizes"][name]) for name in SIZES})

    @cached_property
    def digest(self) -> bytes:
        return hashlib.sha256(f"{self.cluster_id} {self.as_json()}".encode()).digest()


_ANY_SIZE = {name: Range(0, MAX_INT) for name in SIZES}


def definition_of(cluster_id: int, job: JobSpec | Job) -> Definition:
    """The queue of a job that is submitted to this cluster or pool."""
    return _definition(cluster_id, *_placing(job))


@lru_cache(maxsize=10_000)
def _definition(cluster_id: int, *sizes: int) -> Definition:
    return Definition(cluster_id=cluster_id, sizes=dict(zip(SIZES, map(class_of, sizes), strict=True)))


def class_of(size: int) -> Range:
    """The class of a size from 0; 0 (not said), 1 and 2 are alone in theirs."""
    if size <= 2:
        return Range(size, size)
    most = 1 << (size - 1).bit_length()
    return Range(most // 2 + 1, min(most, MAX_INT))
