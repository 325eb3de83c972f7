"""Into which queue a job goes: that of the jobs which any cluster can take, or cannot, just like it.

Sizes count by classes, each twice as wide as the one before (1, 2, 3-4, 5-8 ...), so that millions of jobs make
hundreds of queues.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from operator import attrgetter
from typing import Any, NamedTuple, Self

from clusters.matching import Demand
from jobs.models import Job, cores_of
from jobs.specs import MAX_INT, OPTIONAL_FIELDS, JobSpec, asks_more, says_more

# What of a job is a size: more never fits where less does not.
SIZES = ("nodes", "tasks", "time_limit_seconds", "cores_per_task", "gpus_per_task", "memory_mib_per_node")
# Those that a request for jobs may bound, besides the cores in all.
BOUNDED = ("nodes", "tasks", "time_limit_seconds")
# What of a job is compared with the facts of a cluster.
DEMAND_FIELDS = (*SIZES, "gpu_type", "partition", "needs", "options_by_cluster")
# All fields of a job that decide its queue.
PLACING_FIELDS = (*BOUNDED, *OPTIONAL_FIELDS)
_sizes_of = attrgetter(*SIZES)
_PARTITION = ":partition"


class Range(NamedTuple):
    least: int
    most: int


# Compared by identity: the same definition is made once, as long as it is in use.
@dataclass(frozen=True, eq=False, kw_only=True)
class Definition:
    """What the jobs of a queue have in common. `cluster_id` is the cluster or pool that they were submitted to.

    A `mixed` queue has all that is left when there are too many queues: nothing in common.
    """

    cluster_id: int
    sizes: Mapping[str, Range]
    gpu_type: str = ""
    partition: str = ""
    # The partitions that hold in place of that at some clusters, by name.
    partitions: tuple[tuple[str, str], ...] = ()
    needs: tuple[str, ...] = ()
    # Whether its jobs say nothing that clients of earlier protocols do not know, and so would not heed.
    plain: bool = True
    # The clusters of the pool that its jobs may go to, the best first; empty means all, with the pool's delays.
    clusters: tuple[str, ...] = ()
    spill_after_seconds: int = 0
    # The clusters that gave its jobs back, and that the others go before. A mixed queue has jobs of all kinds, and its
    # pool's members cannot multiply it: of each job it is compared which gave it back.
    without: tuple[int, ...] = ()
    mixed: bool = False

    @property
    def cores(self) -> Range:
        """In all."""
        of_job = [self.sizes[name] for name in ("nodes", "tasks", "cores_per_task")]
        least, most = (
            cores_of(nodes=nodes, tasks=tasks, cores_per_task=each) for nodes, tasks, each in zip(*of_job, strict=True)
        )
        return Range(least, min(most, MAX_CORES))

    @property
    def as_mixed(self) -> "Definition":
        return Definition(
            cluster_id=self.cluster_id,
            sizes=_ANY_SIZE,
            plain=self.plain,
            clusters=self.clusters,
            spill_after_seconds=self.spill_after_seconds,
            mixed=True,
        )

    def least(self, cluster: str) -> Demand:
        """What the smallest of its jobs asks for at this cluster."""
        nodes, tasks = self.sizes["nodes"], self.sizes["tasks"]
        fewest = max(1, nodes.least)
        return self._demand(cluster, fewest, fewest * -(-tasks.least // max(1, nodes.most)), "least")

    def most(self, cluster: str) -> Demand:
        """What the largest asks for: as many tasks on each node as the fewest nodes would have."""
        nodes, tasks = self.sizes["nodes"], self.sizes["tasks"]
        return self._demand(cluster, nodes.most, nodes.most * -(-tasks.most // max(1, nodes.least)), "most")

    def _demand(self, cluster: str, nodes: int, tasks: int, end: str) -> Demand:
        sizes = {name: getattr(self.sizes[name], end) for name in SIZES if name not in ("nodes", "tasks")}
        partition = dict(self.partitions).get(cluster, self.partition)
        return Demand(nodes=nodes, tasks=tasks, gpu_type=self.gpu_type, partition=partition, needs=self.needs, **sizes)

    def as_json(self) -> str:
        """For `Queue.definition`."""
        said = {name: getattr(self, name) for name in _SAID} | {"more": not self.plain}
        return json.dumps({name: value for name, value in said.items() if value}, sort_keys=True)

    @classmethod
    def read(cls, cluster_id: int, said: Mapping[str, Any]) -> Self:
        """From `Queue.definition`; a size that an earlier release did not know is none."""
        sizes = {name: Range(*said["sizes"].get(name, (0, 0))) for name in SIZES}
        return cls(
            cluster_id=cluster_id,
            sizes=sizes,
            gpu_type=said.get("gpu_type", ""),
            partition=said.get("partition", ""),
            partitions=tuple((cluster, partition) for cluster, partition in said.get("partitions", ())),
            needs=tuple(said.get("needs", ())),
            plain=not said.get("more", False),
            clusters=tuple(said.get("clusters", ())),
            spill_after_seconds=said.get("spill_after_seconds", 0),
            without=tuple(said.get("without", ())),
            mixed=said.get("mixed", False),
        )

    @cached_property
    def digest(self) -> bytes:
        return hashlib.sha256(f"{self.cluster_id} {self.as_json()}".encode()).digest()


_SAID = (
    "sizes", "gpu_type", "partition", "partitions", "needs", "clusters", "spill_after_seconds", "without", "mixed",
)  # fmt: skip
# What a database takes for a whole number.
MAX_CORES = 2**63 - 1
_ANY_SIZE = {name: Range(0, MAX_INT) for name in SIZES}


def definition_of(cluster_id: int, job: JobSpec | Job) -> Definition:
    """The queue of a job that is submitted to this cluster or pool."""
    if isinstance(job, JobSpec) and not says_more(job):
        return _definition(cluster_id, _sizes_of(job))
    further: tuple[Any, ...] = ()
    if asks_more(job):
        needs = tuple(sorted(set(job.needs)))
        further = (job.gpu_type, job.partition, _partitions(job.options_by_cluster), needs, False)
    definition = _definition(cluster_id, _sizes_of(job), *further)
    if clusters := chosen_clusters(cluster_id, job):
        definition = _choosing(definition, clusters, job.spill_after_seconds)
    given_back = job.given_back if isinstance(job, Job) else None
    return replace(definition, without=tuple(sorted(map(int, given_back)))) if given_back else definition


@lru_cache(maxsize=10_000)
def _definition(
    cluster_id: int,
    sizes: tuple[int, ...],
    gpu_type: str = "",
    partition: str = "",
    partitions: tuple[tuple[str, str], ...] = (),
    needs: tuple[str, ...] = (),
    plain: bool = True,
) -> Definition:
    return Definition(
        cluster_id=cluster_id,
        sizes=dict(zip(SIZES, map(class_of, sizes), strict=True)),
        gpu_type=gpu_type,
        partition=partition,
        partitions=partitions,
        needs=needs,
        plain=plain,
    )


@lru_cache(maxsize=10_000)
def _choosing(definition: Definition, clusters: tuple[str, ...], spill_after_seconds: int) -> Definition:
    return replace(definition, clusters=clusters, spill_after_seconds=spill_after_seconds)


def chosen_clusters(home_id: int, job: JobSpec | Job) -> tuple[str, ...]:
    """The clusters of this pool that the job may go to, the best first; empty for all.

    Where it was submitted to another, it was moved, and goes where that operator wants it.
    """
    was_moved = isinstance(job, Job) and job.submitted_to_id not in (None, home_id)
    return () if was_moved or not job.clusters else tuple(dict.fromkeys(job.clusters))


def _partitions(options_by_cluster: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    said = sorted(options_by_cluster.items())
    return tuple((key.removesuffix(_PARTITION), value) for key, value in said if key.endswith(_PARTITION))


def class_of(size: int) -> Range:
    """The class of a size from 0; 0 (not said), 1 and 2 are alone in theirs."""
    if size <= 2:
        return Range(size, size)
    most = 1 << (size - 1).bit_length()
    return Range(most // 2 + 1, min(most, MAX_INT))


def demand_of(values: Mapping[str, Any], cluster: str) -> Demand:
    """What a job with these values, by DEMAND_FIELDS, asks for at this cluster."""
    sizes = {name: values[name] for name in SIZES}
    partition = dict(_partitions(values["options_by_cluster"])).get(cluster, values["partition"])
    needs: Sequence[str] = values["needs"]
    return Demand(**sizes, gpu_type=values["gpu_type"], partition=partition, needs=needs)
