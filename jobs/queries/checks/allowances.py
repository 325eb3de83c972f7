"""Whether what persons and projects have is counted as their jobs say."""

from dataclasses import dataclass

from clusters.models import Allowance, Holder
from jobs.models import Job
from jobs.queries.checks.finding import Finding
from jobs.sql.allowances import Change, HolderKey
from jobs.sql.statements import fetch
from jobs.states import HELD, UNTAKEN

_JOB, _ALLOWANCE = Job._meta.db_table, Allowance._meta.db_table
_UNTAKEN, _HELD = (", ".join(sorted(repr(state.value) for state in states)) for states in (UNTAKEN, HELD))
_IN_HAND = f"state IN ({_HELD}) AND agent <> ''"
_COLUMNS = ("owner_id", "project_id")
_THERE = " UNION ALL ".join(
    f"SELECT '{kind}' AS kind, {column} AS holder_id, 0 AS waiting, 0 AS held, 0 AS held_nodes, "
    f"CASE WHEN state IN ({_UNTAKEN}) THEN 1 ELSE 0 END AS waits, "
    f"CASE WHEN {_IN_HAND} THEN 1 ELSE 0 END AS has, CASE WHEN {_IN_HAND} THEN nodes ELSE 0 END AS has_nodes "
    f"FROM {_JOB} WHERE {column} IS NOT NULL AND state IN ({_UNTAKEN}, {_HELD})"
    for kind, column in zip(Holder.values, _COLUMNS, strict=True)
)
_WRONG = (
    "SELECT kind, holder_id, SUM(waiting), SUM(held), SUM(held_nodes), SUM(waits), SUM(has), SUM(has_nodes) "
    f"FROM (SELECT kind, holder_id, waiting, held, held_nodes, 0 AS waits, 0 AS has, 0 AS has_nodes FROM {_ALLOWANCE} "
    f"UNION ALL {_THERE}) counted GROUP BY kind, holder_id "
    "HAVING SUM(waiting) <> SUM(waits) OR SUM(held) <> SUM(has) OR SUM(held_nodes) <> SUM(has_nodes) "
    "ORDER BY kind, holder_id"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class WrongAllowance:
    key: HolderKey
    counted: Change
    there: Change

    @property
    def correction(self) -> Change:
        return Change(*(there - counted for there, counted in zip(self.there, self.counted, strict=True)))

    @property
    def says(self) -> str:
        kind, holder_id = self.key
        counted = f"{self.counted.waiting:,} waiting, {self.counted.held:,} held, {self.counted.held_nodes:,} nodes"
        return f"{kind} {holder_id}: {counted} are counted; {', '.join(f'{one:,}' for one in self.there)} there"

    @property
    def finding(self) -> Finding:
        return Finding(check="counters", table=_ALLOWANCE, row=self.key[1], says=self.says)


def wrong_allowances() -> list[WrongAllowance]:
    """One statement, which reads by index the jobs of people that have not ended: counts move with the jobs."""
    return [
        WrongAllowance(
            key=(kind, holder_id),
            counted=Change(*map(int, numbers[:3])),
            there=Change(*map(int, numbers[3:])),
        )
        for kind, holder_id, *numbers in fetch(_WRONG, [])
    ]
