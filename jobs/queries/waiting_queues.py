"""What the waiting jobs wait for, queue by queue, and which clusters serve each."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from clusters.models import Cluster
from clusters.sql.moments import as_datetime
from jobs.models import Queue, Serves
from jobs.placement import Definition, Range
from jobs.queries.warnings import in_words
from jobs.sql.queues import counts_of, waiting_queue_ids

_MOST = 20
# The jobs of each queue.
_COUNT_UP_TO = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingQueue:
    """A queue with jobs. `home` is the cluster or pool that they wait in, `wanted` what they ask for, in words.

    Where there are `more` jobs than were counted, `oldest_submitted_at` is that of the counted ones, which go first.
    """

    home: Cluster
    wanted: str
    jobs: int
    more: bool
    oldest_submitted_at: datetime
    served_by: Sequence[Serves]


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingQueues:
    """The queues whose jobs go first, in that order, and whether there are more."""

    queues: Sequence[WaitingQueue]
    more: bool


def waiting_queues(*, cluster_id: int) -> WaitingQueues:
    """The queues with jobs of this cluster or pool, and those of pools that the cluster serves."""
    ids = waiting_queue_ids(cluster_id, limit=_MOST + 1)
    shown = ids[:_MOST]
    counts = {id: (jobs, oldest) for id, jobs, oldest in counts_of(shown, at_most=_COUNT_UP_TO)} if shown else {}
    found = Queue.objects.select_related("cluster").defer("cluster__facts").in_bulk(shown)
    served_by = _served_by(shown)
    queues = [
        WaitingQueue(
            home=found[id].cluster,
            wanted=wanted_by(Definition.read(found[id].cluster_id, found[id].definition)),
            jobs=counts[id][0],
            more=counts[id][0] >= _COUNT_UP_TO,
            oldest_submitted_at=as_datetime(counts[id][1]),
            served_by=served_by[id],
        )
        for id in shown
        # The others were emptied since.
        if id in found and counts[id][0]
    ]
    return WaitingQueues(queues=queues, more=len(ids) > _MOST)


def _served_by(queue_ids: Sequence[int]) -> dict[int, list[Serves]]:
    """Those whose turn comes first before the others."""
    served: dict[int, list[Serves]] = {queue_id: [] for queue_id in queue_ids}
    rows = Serves.objects.filter(queue_id__in=queue_ids).select_related("cluster").defer("cluster__facts")
    for row in rows.order_by("after_seconds", "cluster__name"):
        served[row.queue_id].append(row)
    return served


def wanted_by(definition: Definition) -> str:
    """What the jobs of a queue ask for."""
    return "jobs of all kinds, since there are too many kinds" if definition.mixed else ", ".join(_wanted(definition))


def _wanted(definition: Definition) -> Iterator[str]:
    for field, wording in _SIZES.items():
        size = definition.sizes[field]
        if size.most:
            yield wording.format(_range(size), "" if size.most == 1 else "s")
    if (memory := definition.sizes["memory_mib_per_node"]).most:
        yield f"{_memory(memory)} of memory a node"
    if (limit := definition.sizes["time_limit_seconds"]).most:
        yield f"a time limit of {_time(limit)}"
    if definition.gpu_type:
        yield f"GPUs of the type {definition.gpu_type}"
    if definition.partition:
        yield f"partition {definition.partition}"
    for cluster, partition in definition.partitions:
        yield f"partition {partition} at {cluster}" if partition else f"any partition at {cluster}"
    yield from definition.needs


_SIZES = {
    "nodes": "{} node{}",
    "tasks": "{} task{}",
    "cores_per_task": "{} core{} a task",
    "gpus_per_task": "{} GPU{} a task",
}


def _range(size: Range) -> str:
    return f"{size.most:,}" if size.least == size.most else f"{size.least:,} to {size.most:,}"


def _memory(mib: Range) -> str:
    whole = mib.least > 1_024
    return f"{_range(Range(mib.least // 1_024, mib.most // 1_024))} GiB" if whole else f"{_range(mib)} MiB"


def _time(seconds: Range) -> str:
    least, most = (in_words(timedelta(seconds=end)) for end in seconds)
    return most if least == most else f"{least} to {most}"
