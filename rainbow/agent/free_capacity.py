"""How much the agent can take now."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from rainbow.executors.executor import Capacity
from rainbow.records import WaitingJob
from rainbow.specs import Work, work_of

MOST_AT_ONCE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class FreeCapacity:
    """`jobs`: how many. `open_end`: the scheduler queues what does not fit now."""

    nodes: int
    slots: int
    jobs: int
    open_end: bool = False

    def __bool__(self) -> bool:
        return self.jobs > 0 and (self.open_end or (self.nodes > 0 and self.slots > 0))

    def is_more_than(self, other: "FreeCapacity") -> bool:
        """Whether some job fits here and not there."""
        return self.nodes > other.nodes or self.slots > other.slots or (self.open_end and not other.open_end)

    @property
    def most_nodes(self) -> int:
        """0 is no limit."""
        return 0 if self.open_end else self.nodes

    @property
    def most_tasks(self) -> int:
        return 0 if self.open_end else self.slots

    @property
    def most_jobs(self) -> int:
        """Each takes a node and a slot at least."""
        return self.jobs if self.open_end else min(self.jobs, self.nodes, self.slots)

    def fitting(self, jobs: Iterable[WaitingJob], slots: Callable[[Work], int]) -> list[WaitingJob]:
        free, chosen = self, list[WaitingJob]()
        for job in jobs:
            left = free.without(job.nodes, slots(work_of(job)))
            if free.jobs > 0 and (free.open_end or (left.nodes >= 0 and left.slots >= 0)):
                free = left
                chosen.append(job)
        return chosen

    def without(self, nodes: int, slots: int) -> "FreeCapacity":
        return replace(self, nodes=self.nodes - nodes, slots=self.slots - slots, jobs=self.jobs - 1)


def free_capacity(
    capacity: Capacity, waiting: Sequence[tuple[int, int]], *, most_jobs: int, ahead: int, soon: int = 0
) -> FreeCapacity:
    """What is left beside the jobs that wait for their start, given as (nodes, slots). `soon`: how many more
    slots there will be.

    While fewer than `ahead` wait, so many more may come, of any size: a quarter of them or more, so that they are
    handed over together.
    """
    if (more := ahead - len(waiting)) > 0 and more >= ahead // 4:
        return FreeCapacity(nodes=0, slots=0, jobs=min(most_jobs, more), open_end=True)
    free = FreeCapacity(nodes=capacity.nodes + soon, slots=capacity.slots + soon, jobs=most_jobs)
    for nodes, slots in waiting:
        free = replace(free, nodes=free.nodes - nodes, slots=free.slots - slots)
    return replace(free, nodes=max(0, free.nodes), slots=max(0, free.slots))
