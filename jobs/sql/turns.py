"""Statements on the turns of those who submit to a cluster or pool."""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple, Self

from clusters.models import Cluster
from clusters.sql.cursors import vendor
from jobs.models import Job, Queue, Turn
from jobs.sql.statements import Columns, fetch, insert
from jobs.states import JobState

_TURN = Turn._meta.db_table
_CLUSTER = Cluster._meta.db_table
_QUEUE = Queue._meta.db_table
_JOB = Job._meta.db_table


class QueueTurn(NamedTuple):
    """The highest turn of its jobs that were accepted, and the turn of the first that waits."""

    accepted: int | None
    first: int | None


class Party(NamedTuple):
    """Someone who submits at a priority to a cluster or pool, or one of its queues. Ordered as they are locked."""

    cluster_id: int
    priority: int
    name: str

    @classmethod
    def of_queue(cls, cluster_id: int, priority: int, queue_id: int) -> Self:
        return cls(cluster_id, priority, f"{_QUEUE_PARTY}{queue_id}")


class Raise(NamedTuple):
    """By how much, and what the turn was before at least."""

    cost: int
    start: int


_QUEUE_PARTY = "queue "
# The highest number of a turn.
NO_TURN_YET = 2**63 - 1


def raise_turns(raises: Mapping[Party, Raise]) -> dict[Party, int]:
    """Raises the turn of each of these parties and returns what it is then.

    In the lock order (docs/development.md): by cluster, priority and party.
    """
    ordered = sorted(raises.items())
    columns: Columns = {
        **_parties([party for party, _ in ordered]),
        "turn": [one.start + one.cost for _, one in ordered],
        "raised_by": [one.cost for _, one in ordered],
    }
    further = (
        f"ON CONFLICT (cluster_id, priority, party) DO UPDATE SET "
        f"turn = {_greatest()}({_TURN}.turn + excluded.raised_by, excluded.turn), raised_by = excluded.raised_by "
        "RETURNING cluster_id, priority, party, turn"
    )
    return {Party(*row[:3]): row[3] for row in insert(Turn, columns, further)}


def _parties(parties: Sequence[Party]) -> Columns:
    return {
        "cluster_id": [party.cluster_id for party in parties],
        "priority": [party.priority for party in parties],
        "party": [party.name for party in parties],
    }


def _greatest() -> str:
    return "GREATEST" if vendor() == "postgresql" else "MAX"


def queues_at(cluster_id: int, priority: int) -> dict[int, QueueTurn]:
    """How far the queues of a cluster or pool have got at a priority, by their ids; without those that have no turn."""
    first = (
        f"SELECT j.turn FROM {_JOB} j WHERE j.queue_id = q.id AND j.state = '{JobState.QUEUED}' AND j.priority = %s "
        f"AND j.turn < {NO_TURN_YET} ORDER BY j.turn, j.id LIMIT 1"
    )
    accepted = (
        f"SELECT t.turn FROM {_TURN} t WHERE t.cluster_id = q.cluster_id AND t.priority = %s "
        f"AND t.party = '{_QUEUE_PARTY}' || q.id"
    )
    rows = fetch(
        f"SELECT q.id, ({accepted}), ({first}) FROM {_QUEUE} q WHERE q.cluster_id = %s",
        [priority, priority, cluster_id],
    )
    return {id: QueueTurn(*turns) for id, *turns in rows if turns != [None, None]}


def lower_turns(costs: Mapping[Party, int]) -> None:
    """Takes back what was given for jobs that will not run, in the order of `raise_turns`."""
    for party, cost in sorted(costs.items()):
        statement = f"UPDATE {_TURN} SET turn = turn - %s WHERE cluster_id = %s AND priority = %s AND party = %s"
        fetch(statement, [cost, *party])


def note_turns(turns: Mapping[Party, int]) -> None:
    """Raises the turns of queues to those of jobs that were accepted, in the order of `raise_turns`."""
    ordered = sorted(turns.items())
    columns: Columns = {
        **_parties([party for party, _ in ordered]),
        "turn": [turn for _, turn in ordered],
        "raised_by": [0] * len(ordered),
    }
    further = (
        f"ON CONFLICT (cluster_id, priority, party) DO UPDATE SET turn = {_greatest()}({_TURN}.turn, excluded.turn)"
    )
    insert(Turn, columns, further)


def last_turns(cluster_ids: Collection[int]) -> dict[tuple[int, int], int]:
    """The last turns that were given in these clusters and pools, by (cluster_id, priority)."""
    if not cluster_ids:
        return {}
    places = ",".join(["%s"] * len(cluster_ids))
    rows = fetch(
        f"SELECT cluster_id, priority, MAX(turn) FROM {_TURN} WHERE cluster_id IN ({places}) "
        "GROUP BY cluster_id, priority",
        list(cluster_ids),
    )
    return {(cluster_id, priority): turn for cluster_id, priority, turn in rows}


def homes_with_turns(cluster_ids: Collection[int]) -> dict[int, bool]:
    """Those of these clusters and pools whose submitters take turns (True), or took them once."""
    places = ",".join(["%s"] * len(cluster_ids))
    rows = fetch(
        f"SELECT id, fair_turns FROM {_CLUSTER} WHERE id IN ({places}) AND fair_turns IS NOT NULL", list(cluster_ids)
    )
    return {cluster_id: bool(fair) for cluster_id, fair in rows}
