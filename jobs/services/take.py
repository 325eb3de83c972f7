"""Taking jobs for the clusters that accept them."""

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import starmap
from typing import NamedTuple

from clusters.callers import Caller
from jobs.leases import Lease
from jobs.sight import taken_by
from jobs.sql.turns import Party
from jobs.sql.updates import Locked, Take, take_jobs, take_locked
from jobs.states import JobState
from rainbow.errors import InvalidArgument


@dataclass(frozen=True, slots=True, kw_only=True)
class Taking:
    """One accept of one cluster.

    With an agent's name a lease of `lease_seconds` (jobs/leases.py; 0 means the default) begins, and a repeated
    accept of the same agent gets the same answer. Without, the jobs are handed over for good.
    """

    caller: Caller
    job_ids: Sequence[int]
    agent: str = ""
    lease_seconds: int = 0


class Row(NamedTuple):
    """An accepted job; `from_cluster_id` is the cluster or pool that it waited in."""

    job_id: int
    attempt: int
    priority: int
    from_cluster_id: int
    owner_id: int | None
    project_id: int | None
    nodes: int
    queue_id: int
    turn: int
    group: int

    @property
    def queue(self) -> Party:
        return Party.of_queue(self.from_cluster_id, self.priority, self.queue_id)


Rows = list[Row]
# None without an agent's name.
MaybeLease = Lease | InvalidArgument | None


def take_each(
    takings: Sequence[Taking],
    leases: Sequence[MaybeLease],
    locked: Mapping[int, Locked],
    no_room: Container[int],
    now: datetime,
) -> list[Rows]:
    """What each takes of the jobs that it names, by their ids; all of them are `locked` that it may take.

    Most are simply its own: those of all are taken by one statement.
    """
    taken: list[Rows] = []
    simple: dict[int, Take] = {}
    for taking, lease in zip(takings, leases, strict=True):
        rows: Rows = []
        if not isinstance(lease, InvalidArgument) and not taking.caller.paused:
            waiting = [job for job in _waiting(taking, locked) if job.id not in simple and job.id not in no_room]
            own = [job for job in waiting if _is_simply_its_own(job, taking.caller)]
            simple |= {job.id: Take(job.id, lease) for job in own}
            rows = [_row(job) for job in own]
            if len(own) < len(waiting):
                rows += _take_others(taking, lease, [job.id for job in waiting if job.id not in simple], now)
        taken.append(sorted(rows))
    if simple:
        take_locked(list(simple.values()), now=now)
    return taken


def _waiting(taking: Taking, locked: Mapping[int, Locked]) -> Iterator[Locked]:
    for job_id in dict.fromkeys(taking.job_ids):
        job = locked.get(job_id)
        if job and job.state == JobState.QUEUED:
            yield job


def _is_simply_its_own(job: Locked, caller: Caller) -> bool:
    """Whether nothing has to be looked up: it waits in the cluster itself, and is no person's or project's."""
    return job.cluster_id == caller.cluster_id and job.project_id is None and not taken_by(caller)


def _row(job: Locked) -> Row:
    return Row(
        job_id=job.id,
        attempt=job.attempt,
        priority=job.priority,
        from_cluster_id=job.cluster_id,
        owner_id=job.owner_id,
        project_id=job.project_id,
        nodes=job.nodes,
        queue_id=job.queue_id,
        turn=job.turn,
        group=job.group,
    )


def _take_others(taking: Taking, lease: Lease | None, job_ids: Sequence[int], now: datetime) -> Rows:
    caller = taking.caller
    return list(starmap(Row, take_jobs(caller.cluster_id, job_ids, lease=lease, within=taken_by(caller), now=now)))
