"""Whether the counts are what a count of the rows gives."""

from collections.abc import Iterator
from dataclasses import dataclass

from clusters.models import Cluster
from jobs.models import GroupCount, Job, JobCount, JobGroup
from jobs.queries.checks.finding import Finding, Range, ranges_of
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


_GROUP, _GROUP_COUNT = JobGroup._meta.db_table, GroupCount._meta.db_table
_IN_GROUPS = (
    f"SELECT group_id, state, jobs AS counted, 0 AS there FROM {_GROUP_COUNT} "
    "WHERE group_id > %s AND group_id <= %s UNION ALL "
    f'SELECT "group", state, 0, COUNT(*) FROM {Job._meta.db_table} '
    'WHERE "group" > %s AND "group" <= %s GROUP BY "group", state'
)
_WRONG_IN_GROUPS = (
    f"SELECT group_id, state, SUM(counted), SUM(there) FROM ({_IN_GROUPS}) jobs GROUP BY group_id, state "
    "HAVING SUM(counted) <> SUM(there) ORDER BY group_id, state"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class WrongGroupCount:
    group: int
    state: str
    counted: int
    there: int

    @property
    def finding(self) -> Finding:
        says = f"group {self.group}, {self.state}: {self.counted:,} members are counted, {self.there:,} there"
        return Finding(check="counters", table=_GROUP, row=self.group, says=says)


def wrong_group_counts(groups: Range) -> list[WrongGroupCount]:
    """One statement for the groups of a range of ids, which counts all of their members."""
    bounds = [groups.after, groups.last]
    return [
        WrongGroupCount(group=group, state=state, counted=int(counted), there=int(there))
        for group, state, counted, there in fetch(_WRONG_IN_GROUPS, [*bounds, *bounds])
    ]


def group_ranges() -> Iterator[Range]:
    return ranges_of(_GROUP)


def clusters() -> Iterator[tuple[int, str]]:
    return Cluster.objects.order_by("id").values_list("id", "name").iterator()
