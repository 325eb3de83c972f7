"""Whether the counts are what a count of the rows gives."""

from collections.abc import Iterator
from dataclasses import dataclass

from clusters.models import Cluster
from jobs.models import Job, JobCount
from jobs.queries.checks.finding import Finding
from jobs.sql.statements import fetch

_COUNT, _CLUSTER = JobCount._meta.db_table, Cluster._meta.db_table
_COUNTED = (
    f"SELECT state, priority, jobs AS counted, 0 AS there FROM {_COUNT} WHERE cluster_id = %s UNION ALL "
    f"SELECT state, priority, 0, COUNT(*) FROM {Job._meta.db_table} WHERE cluster_id = %s GROUP BY state, priority"
)
_WRONG = (
    f"SELECT state, priority, SUM(counted), SUM(there) FROM ({_COUNTED}) jobs GROUP BY state, priority "
    "HAVING SUM(counted) <> SUM(there) ORDER BY state, priority"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class WrongCount:
    cluster_id: int
    state: str
    priority: int
    counted: int
    there: int

    def finding(self, cluster: str) -> Finding:
        says = f"{cluster}, {self.state}, priority {self.priority}: {self.counted:,} are counted, {self.there:,} there"
        return Finding(check="counters", table=_CLUSTER, row=self.cluster_id, says=says)


def wrong_counts(cluster_id: int) -> list[WrongCount]:
    """One statement, which counts all jobs of a cluster: counts move with the jobs."""
    return [
        WrongCount(cluster_id=cluster_id, state=state, priority=priority, counted=int(counted), there=int(there))
        for state, priority, counted, there in fetch(_WRONG, [cluster_id, cluster_id])
    ]


def clusters() -> Iterator[tuple[int, str]]:
    return Cluster.objects.order_by("id").values_list("id", "name").iterator()
