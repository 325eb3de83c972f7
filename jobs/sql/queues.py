"""The queues of waiting jobs, and which clusters serve them."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from clusters.models import Cluster, PoolMember, Streak
from clusters.prepared import fetch_prepared
from clusters.sql.cursors import vendor
from jobs.models import Job, Queue, Serves
from jobs.sql.statements import Columns, Place, Row, among_ids, fetch, ids_as_value, insert
from jobs.states import JobState

_JOB = Job._meta.db_table
_QUEUE = Queue._meta.db_table
_SERVES = Serves._meta.db_table
_CLUSTER = Cluster._meta.db_table
_MEMBER = PoolMember._meta.db_table
_STREAK = Streak._meta.db_table
QUEUED = f"state = '{JobState.QUEUED}'"
# The same of jobs that are named by their ids: by no index of the queue, which PostgreSQL takes for short until it has
# gathered statistics, and would walk as a whole.
QUEUED_BY_ID = f"state || '' = '{JobState.QUEUED}'"


class ServedQueue(NamedTuple):
    """A queue with jobs, as a cluster sees it.

    `fits`: each of its jobs fits the cluster; `whole`: and is within the bounds of the request. `plain`: its jobs say
    nothing of ASKED_FIELDS. `alone`: the cluster serves no other. `holds_back`: the cluster holds back jobs of some
    token. `pool`: empty for a queue of the cluster's own.
    """

    id: int
    after_seconds: int
    fits: bool
    whole: bool
    plain: bool
    alone: bool
    holds_back: bool
    pool: str
    # The cluster or pool in which its jobs take turns; 0 where they go by age.
    turns_of: int
    # The first of its jobs.
    priority: int
    turn: int
    job_id: int
    # Limits on what is held keep some jobs waiting.
    limited: bool = False

    @property
    def place(self) -> Place:
        return self.priority, self.turn, self.job_id


class KnownQueue(NamedTuple):
    id: int
    # Whether there is a cluster that all its jobs fit.
    whole: bool
    # Of its cluster or pool: whether submitters take turns; None if they never did.
    fair: bool | None


def known_queues(digests: Collection[bytes]) -> dict[bytes, KnownQueue]:
    """The queues by these digests. On PostgreSQL none of them is deleted before the commit."""
    lock = _kept()
    places = ",".join(["%s"] * len(digests))
    whole = f"EXISTS (SELECT 1 FROM {_SERVES} s WHERE s.queue_id = q.id AND s.whole)"
    fair = f"(SELECT c.fair_turns FROM {_CLUSTER} c WHERE c.id = q.cluster_id)"
    statement = f"SELECT digest, id, {whole}, {fair} FROM {_QUEUE} q WHERE digest IN ({places}) {lock}"
    return {
        bytes(digest): KnownQueue(id=id, whole=bool(whole), fair=None if fair is None else bool(fair))
        for digest, id, whole, fair in fetch(statement, list(digests))
    }


def pools_of(cluster_ids: Iterable[int]) -> list[Row]:
    """(cluster id, name of a pool, after how many seconds the cluster may take a job of it) of these clusters."""
    statement = (
        f"SELECT m.cluster_id, p.name, m.after_seconds FROM {_MEMBER} m JOIN {_CLUSTER} p ON p.id = m.pool_id "
        f"WHERE m.cluster_id {among_ids()}"
    )
    return fetch(statement, [ids_as_value(cluster_ids)])


def queues_of(cluster_ids: Collection[int]) -> list[Row]:
    """(id, cluster id, definition as JSON) of the queues of these clusters and pools, which are kept as those are."""
    places = ",".join(["%s"] * len(cluster_ids))
    statement = (
        f"SELECT id, cluster_id, definition FROM {_QUEUE} q WHERE cluster_id IN ({places}) ORDER BY id {_kept()}"
    )
    return fetch(statement, list(cluster_ids))


def _kept() -> str:
    return "FOR KEY SHARE OF q" if vendor() == "postgresql" else ""


def insert_queues(columns: Columns) -> list[Row]:
    """Adds queues and returns (digest, id) of those that are new."""
    return insert(Queue, columns, "ON CONFLICT (digest) DO NOTHING RETURNING digest, id")


def write_serves(columns: Columns) -> None:
    further = (
        "ON CONFLICT (queue_id, cluster_id) "
        "DO UPDATE SET after_seconds = excluded.after_seconds, whole = excluded.whole"
    )
    insert(Serves, columns, further)


def served_queues(cluster_id: int, *, at_most: Mapping[str, int], plain: bool) -> list[ServedQueue]:
    """The queues with jobs that a cluster serves and of which some jobs may be within these bounds, in their order.

    `plain`: only its own, as published clients see them. Jobs of a pool that is paused are left out.
    """
    whole = " AND ".join(["s.whole", *(f"q.most_{name} <= %s" for name in at_most)])
    tests = ["s.cluster_id = %s", *(f"q.least_{name} <= %s" for name in at_most)]
    tests.append("q.plain AND q.cluster_id = s.cluster_id" if plain else "home.paused_at IS NULL")
    statement = (
        f"SELECT s.queue_id, s.after_seconds, s.whole, {whole}, q.plain, {_IS_ALONE}, {HOLDS_BACK}, "
        "CASE WHEN home.id = s.cluster_id THEN '' ELSE home.name END, "
        "CASE WHEN home.fair_turns IS NULL THEN 0 ELSE home.id END, first.priority, first.turn, first.id "
        f"FROM {_SERVES} s JOIN {_QUEUE} q ON q.id = s.queue_id JOIN {_CLUSTER} home ON home.id = q.cluster_id "
        f"{_joined_first()} WHERE {' AND '.join(tests)} ORDER BY first.priority DESC, first.turn, first.id"
    )
    bounds = list(at_most.values())
    values = [*bounds, cluster_id, cluster_id, cluster_id, *bounds]
    return [ServedQueue(*row) for row in fetch_prepared(statement, values)]


def _joined_first() -> str:
    """The first job of a queue q, as `first`. On PostgreSQL the index has all that is asked of it."""
    its = f"FROM {_JOB} j WHERE j.queue_id = q.id AND j.{QUEUED} ORDER BY j.priority DESC, j.turn, j.id LIMIT 1"
    if vendor() == "postgresql":
        return f"CROSS JOIN LATERAL (SELECT j.priority, j.turn, j.id {its}) first"
    return f"JOIN {_JOB} first ON first.id = (SELECT j.id {its})"


_IS_ALONE = f"(SELECT COUNT(*) FROM (SELECT 1 FROM {_SERVES} WHERE cluster_id = %s LIMIT 2) few) = 1"
HOLDS_BACK = f"EXISTS (SELECT 1 FROM {_STREAK} WHERE cluster_id = %s AND held_at IS NOT NULL)"


def waiting_queue_ids(cluster_id: int, *, limit: int) -> list[int]:
    """The queues with jobs of this cluster or pool, and those that the cluster serves, in the order of their first."""
    mine = f"q.cluster_id = %s OR q.id IN (SELECT s.queue_id FROM {_SERVES} s WHERE s.cluster_id = %s)"
    order = "ORDER BY first.priority DESC, first.turn, first.id LIMIT %s"
    statement = f"SELECT q.id FROM {_QUEUE} q {_joined_first()} WHERE {mine} {order}"
    return [id for (id,) in fetch(statement, [cluster_id, cluster_id, limit])]


def counts_of(queue_ids: Sequence[int], *, at_most: int) -> list[Row]:
    """(id, waiting jobs, when the oldest of those was submitted): of each queue the first `at_most` jobs."""
    order = "ORDER BY j.priority DESC, j.turn, j.id"
    some = f"SELECT j.submitted_at AS at FROM {_JOB} j WHERE j.queue_id = q.id AND j.{QUEUED} {order} LIMIT %s"
    places = ",".join(["%s"] * len(queue_ids))
    statement = (
        f"SELECT q.id, (SELECT COUNT(*) FROM ({some}) counted), (SELECT MIN(at) FROM ({some}) counted) "
        f"FROM {_QUEUE} q WHERE q.id IN ({places})"
    )
    return fetch(statement, [at_most, at_most, *queue_ids])
