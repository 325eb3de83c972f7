"""What happened between two events, for servers that poll. The queries are always the same: to compile them anew took
most of a poll.
"""

from collections.abc import Iterable
from typing import NamedTuple

from clusters.models import Cluster, ClusterEvent
from jobs.models import Job, JobEvent, Wish
from jobs.sql.statements import fetch
from jobs.states import What

_EVENT = JobEvent._meta.db_table
_JOB = Job._meta.db_table
_CLUSTER = Cluster._meta.db_table
_LAST = ", ".join(
    f"(SELECT COALESCE(MAX(id), 0) FROM {model._meta.db_table})" for model in (JobEvent, ClusterEvent, Wish)
)


class Last(NamedTuple):
    """The ids of the last event of a job, the last of a cluster and the last wish; 0 where there is none."""

    event: int
    of_clusters: int
    wish: int


def last_ids() -> Last:
    return Last(*fetch(f"SELECT {_LAST}", [])[0])


def clusters_with(what: Iterable[What], in_projects: Iterable[What], *, after: int, until: int) -> frozenset[str]:
    """The names of the clusters of whose jobs the events later than `after` up to `until` say this, or, of jobs of
    projects, that.
    """
    any_job, of_projects = sorted(what), sorted(in_projects)
    told = f"e.what IN ({_places(any_job)})"
    if of_projects:
        told = f"({told} OR (e.what IN ({_places(of_projects)}) AND j.project_id IS NOT NULL))"
    statement = (
        f"SELECT DISTINCT c.name FROM {_EVENT} e JOIN {_JOB} j ON j.id = e.job_id JOIN {_CLUSTER} c "
        f"ON c.id = j.cluster_id WHERE e.id > %s AND e.id <= %s AND {told}"
    )
    return frozenset(name for (name,) in fetch(statement, [after, until, *any_job, *of_projects]))


def jobs_with_other_than(what: What, *, after: int, until: int) -> frozenset[int]:
    """The ids of the jobs of which the events later than `after` up to `until` say something else."""
    statement = f"SELECT DISTINCT job_id FROM {_EVENT} WHERE id > %s AND id <= %s AND what <> %s"
    return frozenset(job_id for (job_id,) in fetch(statement, [after, until, what.value]))


def _places(values: list[What]) -> str:
    return ", ".join(["%s"] * len(values))
