"""Notifies every server of the clusters whose queues grew and of the jobs that changed, after the commit.

PostgreSQL carries the notification (LISTEN, NOTIFY). On SQLite the servers see that the file has changed, and
query it. docs/decisions/0013-news.md says why.
"""

import json
import logging
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.db import Error, connection, transaction

from clusters.models import Cluster
from clusters.sql.cursors import open_cursor, vendor
from rainbow.telemetry.failures import told
from rainbow.telemetry.lines import Line, Quoted

CHANNEL = "rainbow"
# A notification holds up to 8,000 bytes. More clusters than these are sent as "any", and so are more jobs than fit
# a few notifications.
_MAX_CLUSTERS, _MAX_JOBS, _MAX_NOTIFICATIONS = 50, 400, 10
# Names of up to 255 characters, each of up to 12 bytes in JSON.
_MAX_AGENTS = 2

_log = logging.getLogger("rainbow.news")

_CLUSTER = Cluster._meta.db_table
_NOTIFY = f"""
    SELECT pg_notify('{CHANNEL}', json_build_object(
        'clusters', CASE WHEN %s THEN (SELECT COALESCE(json_agg(name), '[]') FROM {_CLUSTER} WHERE id = ANY(%s)) END,
        'jobs', %s::json, 'to_all', %s
    )::text)
"""
_NOTIFY_OTHERS = f"SELECT pg_notify('{CHANNEL}', %s)"
# What servers of earlier releases read.
_NOTHING: dict[str, list[object]] = {"clusters": [], "jobs": []}


class Agent(NamedTuple):
    """One of a cluster's agents, by the cluster's id and its name."""

    cluster_id: int
    name: str


class RelayId(NamedTuple):
    """Of a reader's relay (jobs/services/relays.py)."""

    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """The names of clusters whose queues grew, and the ids of jobs that changed; None means any. Of which agents
    something is wanted, and the relays of which there are chunks, or room for some; servers of earlier releases say
    nothing of those.

    `to_all`: these clusters may take jobs that they could not before, so that all of their calls have to look again.
    """

    clusters: frozenset[str] | None
    jobs: frozenset[int] | None
    to_all: bool = False
    agents: frozenset[Agent] = frozenset()
    relays: frozenset[RelayId] = frozenset()

    @classmethod
    def of(cls, payload: str) -> "Word":
        content = json.loads(payload)
        agents = frozenset(Agent(*agent) for agent in content.get("agents", ()))
        known = {key: None if content[key] is None else frozenset(content[key]) for key in ("clusters", "jobs")}
        relays = frozenset(map(RelayId, content.get("relays", ())))
        return cls(**known, to_all=content.get("to_all", False), agents=agents, relays=relays)


def tell_after_commit(*, cluster_ids: Collection[int], job_ids: Collection[int], to_all: bool = False) -> None:
    """A NOTIFY within the transaction would make all commits wait for each other."""
    if vendor() == "postgresql" and (cluster_ids or job_ids):
        # A function, since Django names what failed: a partial has no name, and would fail the call once more.
        def tell() -> None:
            _tell(list(cluster_ids), list(job_ids), to_all=to_all)

        transaction.on_commit(tell, robust=True)


def tell_all_calls_after_commit(cluster_ids: Collection[int]) -> None:
    """The pools or facts of these clusters changed."""
    tell_after_commit(cluster_ids=cluster_ids, job_ids=(), to_all=True)


def tell_agents_after_commit(agents: Iterable[tuple[int, str]]) -> None:
    """Something is wanted of these agents, each a cluster's id and a name."""
    wanted = sorted(set(agents))
    if vendor() == "postgresql" and wanted:

        def tell() -> None:
            parts = [wanted[start : start + _MAX_AGENTS] for start in range(0, len(wanted), _MAX_AGENTS)]
            _send([(_NOTIFY_OTHERS, [json.dumps({**_NOTHING, "agents": part})]) for part in parts])

        transaction.on_commit(tell, robust=True)


def tell_relay_after_commit(relay: str) -> None:
    """There are chunks of this relay, or room for some."""
    if vendor() == "postgresql":

        def tell() -> None:
            _send([(_NOTIFY_OTHERS, [json.dumps({**_NOTHING, "relays": [relay]})])])

        transaction.on_commit(tell, robust=True)


def _tell(cluster_ids: list[int], job_ids: Sequence[int], *, to_all: bool) -> None:
    few = len(cluster_ids) <= _MAX_CLUSTERS
    _send([(_NOTIFY, [few, cluster_ids, jobs, to_all]) for jobs in _in_notifications(job_ids)])


def _send(notifications: Iterable[tuple[str, list[Any]]]) -> None:
    """Never raises: what is committed has to be answered, whether or not the notification is sent."""
    try:
        with open_cursor() as cursor:
            for statement, values in notifications:
                cursor.execute(statement, values)
    except Error as error:
        event = "could not tell other servers of news; calls that wait there look for themselves"
        _log.warning(Line(event, error=Quoted(told(error))))
        # What failed here would fail the next call on this connection as well.
        connection.close()


def _in_notifications(job_ids: Sequence[int]) -> list[str]:
    if len(job_ids) > _MAX_JOBS * _MAX_NOTIFICATIONS:
        return ["null"]
    starts = range(0, max(1, len(job_ids)), _MAX_JOBS)
    return [json.dumps(job_ids[start : start + _MAX_JOBS]) for start in starts]
