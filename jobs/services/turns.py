"""Turns: how those who submit to one cluster or pool share it.

Start-time fair queueing (Goyal, Vin and Cheng, 1996): a job's turn is the last one of its party, or that to which the
queue has got if it is more, and what the job costs: its nodes, over its project's weight. Waiting jobs of one priority
go in the order of their turns. So a flood of one party delays the others by a few jobs, and has all that the others
leave. docs/decisions/0019-turns.md tells why each queue, at each priority, has come to a turn of its own.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Protocol

from clusters.models import Project
from jobs.models import Job
from jobs.sql.turns import (
    NO_TURN_YET,
    Party,
    QueueTurn,
    Raise,
    homes_with_turns,
    last_turns,
    lower_turns,
    note_turns,
    queues_at,
    raise_turns,
)

# Of one node; so weights up to it make a difference.
_NODE = 1_000
# Beyond it a job costs no more: turns are 64-bit numbers.
_MOST_NODES = 1_000_000
_PART = 1_000


class Waiting(Protocol):
    """A job that waits or is about to, as far as turns go. `cluster_id` is the cluster or pool that it waits in."""

    turn: int

    @property
    def cluster_id(self) -> int: ...
    @property
    def priority(self) -> int: ...
    @property
    def nodes(self) -> int: ...
    @property
    def owner_id(self) -> int | None: ...
    @property
    def project_id(self) -> int | None: ...
    @property
    def submitted_by_id(self) -> int | None: ...
    @property
    def queue_id(self) -> int | None: ...


def take_turns(jobs: Sequence[Waiting], *, homes: Mapping[int, bool] | None = None) -> None:
    """Sets the turns of these jobs, which get into the queue in this order; 0 where jobs go by age.

    `homes` is what jobs.sql.turns.homes_with_turns says of their clusters and pools, if it was read before. Where turns
    were taken once and are no longer, all get the last that was given, so that none goes before those that have one.
    """
    if homes is None:
        homes = homes_with_turns({job.cluster_id for job in jobs}) if jobs else {}
    costs = _costs(jobs, {home for home, fair in homes.items() if fair})
    summed = _summed(jobs, costs)
    starts = _starts([job for job, cost in zip(jobs, costs, strict=True) if cost])
    raised = raise_turns({party: Raise(cost, starts[party]) for party, cost in summed.items()})
    turns = {party: turn - summed[party] for party, turn in raised.items()}
    by_age = last_turns([home for home, fair in homes.items() if not fair])
    for job, cost in zip(jobs, costs, strict=True):
        if cost:
            turns[_party(job)] += cost
            job.turn = turns[_party(job)]
        else:
            job.turn = by_age.get((job.cluster_id, job.priority), 0)


def _starts(jobs: Sequence[Waiting]) -> dict[Party, int]:
    """Where the queues have got into which these parties' jobs go; of several queues the one that has got furthest."""
    places = {(job.cluster_id, job.priority) for job in jobs}
    queues = {place: queues_at(*place) for place in places}
    starts: dict[Party, int] = defaultdict(int)
    for job in jobs:
        party, start = _party(job), _start(job.queue_id, queues[job.cluster_id, job.priority])
        starts[party] = max(start, starts[party])
    return starts


def _start(queue_id: int | None, queues: Mapping[int, QueueTurn]) -> int:
    """One without jobs begins where the queue is that has got furthest: it would else be a way to the front of all."""
    own = queues.get(queue_id or 0)
    if own and own.first is not None:
        # Of none of its jobs is known what it cost; a node is the least.
        return max(0, own.first - _NODE) if own.accepted is None else own.accepted
    return max((queue.accepted or 0 for queue in queues.values()), default=0)


def take_turns_anew(jobs: Sequence[Job]) -> None:
    """For waiting jobs, locked by the caller, that are elsewhere or at another priority now: turns do not compare."""
    homes = homes_with_turns({job.cluster_id for job in jobs}) if jobs else {}
    if not homes and not any(job.turn for job in jobs):
        return
    # A queue's first job tells how far it has got, and must not be one of these.
    Job.objects.filter(id__in=[job.id for job in jobs]).update(turn=NO_TURN_YET)
    take_turns(jobs, homes=homes)
    Job.objects.bulk_update(jobs, ["turn"], batch_size=_PART)


def give_turns_back(jobs: Sequence[Waiting]) -> None:
    """For waiting jobs that will not run, so that what a party cancelled does not keep its next jobs waiting."""
    with_turns = [job for job in jobs if job.turn]
    if with_turns:
        homes = homes_with_turns({job.cluster_id for job in with_turns})
        costs = _costs(with_turns, {home for home, fair in homes.items() if fair})
        lower_turns(_summed(with_turns, costs))


def note_accepted(jobs: Iterable[tuple[Party, int]]) -> None:
    """Tells queues how far they have got: each, and the turn of a job of it that was accepted."""
    reached: dict[Party, int] = {}
    for queue, turn in jobs:
        if turn:
            reached[queue] = max(turn, reached.get(queue, 0))
    note_turns(reached)


def _summed(jobs: Sequence[Waiting], costs: Sequence[int]) -> dict[Party, int]:
    summed: dict[Party, int] = defaultdict(int)
    for job, cost in zip(jobs, costs, strict=True):
        if cost:
            summed[_party(job)] += cost
    return summed


def _costs(jobs: Sequence[Waiting], fair: Collection[int]) -> list[int]:
    """Of each job; 0 outside of these clusters and pools."""
    projects = {job.project_id for job in jobs if job.project_id and job.cluster_id in fair}
    weights = dict(Project.objects.filter(id__in=projects).values_list("id", "weight")) if projects else {}
    return [
        max(1, min(job.nodes, _MOST_NODES) * _NODE // weights.get(job.project_id or 0, 1))
        if job.cluster_id in fair
        else 0
        for job in jobs
    ]


def _party(job: Waiting) -> Party:
    """Whose turn it is: that of the person, the project of a service, or the cluster's or pool's token."""
    if job.owner_id:
        name = f"person {job.owner_id}"
    else:
        name = f"project {job.project_id}" if job.project_id else f"token {job.submitted_by_id}"
    return Party(job.cluster_id, job.priority, name)
