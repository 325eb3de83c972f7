"""Adding to the usage."""

from collections.abc import Mapping

from django.db import connection

from jobs.models import Usage
from jobs.sql.inserts import slot
from jobs.sql.statements import Columns, Statement, insertion
from jobs.usage import MAX_NODE_SECONDS, Key

_USAGE = Usage._meta.db_table
# Of the least of two the databases have different functions.
_SUM = f"{_USAGE}.node_seconds + excluded.node_seconds"
_FURTHER = (
    "ON CONFLICT (day, cluster_id, (COALESCE(project_id, 0)), (COALESCE(owner_id, 0)), slot) DO UPDATE SET "
    f"jobs = {_USAGE}.jobs + excluded.jobs, "
    f"node_seconds = CASE WHEN {_SUM} > {MAX_NODE_SECONDS} THEN {MAX_NODE_SECONDS} ELSE {_SUM} END"
)


def usage_added(totals: Mapping[Key, tuple[int, int]], *, into: int | None = None) -> list[Statement]:
    """Adds jobs and node-seconds to the usage, in the lock order (docs/development.md): by key, after the activity.

    Into the writer's slot, unless one is said.
    """
    if not totals:
        return []
    ordered = sorted(totals.items(), key=lambda item: order_of(item[0]))
    columns: Columns = {
        "day": [connection.ops.adapt_datefield_value(day) for (day, *_), _ in ordered],
        "cluster_id": [cluster_id for (_, cluster_id, *_), _ in ordered],
        "project_id": [project_id for (_, _, project_id, _), _ in ordered],
        "owner_id": [owner_id for (*_, owner_id), _ in ordered],
        "slot": [slot() if into is None else into] * len(ordered),
        "jobs": [jobs for _, (jobs, _) in ordered],
        "node_seconds": [node_seconds for _, (_, node_seconds) in ordered],
    }
    return insertion(Usage, columns, _FURTHER)


def order_of(key: Key) -> tuple[object, ...]:
    day, cluster_id, project_id, owner_id = key
    return day, cluster_id, project_id or 0, owner_id or 0
