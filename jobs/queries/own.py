"""The jobs of a person that an agent of the person may take at a cluster."""

from collections.abc import Iterator
from datetime import datetime

from clusters.bounds import Bounds
from jobs.queries.examine import EXAMINED, Examination
from jobs.queries.merge import Next
from jobs.room import room_now
from jobs.sight import Sight
from jobs.sql.queues import served_queues
from jobs.sql.waiting import waiting_of_owner

# Of the person's jobs that wait for the cluster, the first in the order of queues.
_LOOK_AT = 2_000
_PLACE = 4


def waiting_within(own: Sight, *, cluster_id: int, bounds: Bounds, plain: bool, now: datetime) -> Iterator[Next]:
    """Highest priority first, then by turns, then oldest first. Reads jobs of no one else. `plain`: jobs.sql.queues."""
    at_most = {item.field: item.most for item in bounds.limits}
    queues = {queue.id: queue for queue in served_queues(cluster_id, at_most=at_most, plain=plain)}
    examination = Examination(cluster_id=cluster_id, at_most=at_most, room=room_now(), now=now)
    for row in waiting_of_owner(own, cluster_id, columns=EXAMINED, labels=bounds.labels, limit=_LOOK_AT):
        priority, turn, job_id, queue_id = row[:_PLACE]
        if queue_id in queues and examination.passes(row[_PLACE:], queues[queue_id]):
            yield Next(priority, turn, job_id, queues[queue_id])
