"""What must not be so of a row and those that it names."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.apps import apps
from django.db import models

from clusters.models import Cluster, Credential, CredentialKind, FormerValue, PoolMember
from clusters.sql.moments import timestamp
from jobs.models import GroupDependency, Job, JobDependency, JobEvent, JobGroup, Queue, Serves
from jobs.queries.checks.finding import Finding, Range
from jobs.sql.statements import fetch
from jobs.states import JobState

# A job that a server of an earlier release queued is put into a queue within seconds.
_PLACED_WITHIN = timedelta(minutes=1)
_CLUSTER, _CREDENTIAL, _QUEUE = Cluster._meta.db_table, Credential._meta.db_table, Queue._meta.db_table
_ITS_GROUP = f'(SELECT 1 FROM {JobGroup._meta.db_table} g WHERE g.id = t."group")'
_EVENT, _MEMBER = JobEvent._meta.db_table, PoolMember._meta.db_table
_DEPENDENCY, _GROUP_DEPENDENCY = JobDependency._meta.db_table, GroupDependency._meta.db_table
_IN_HAND = f"t.state IN ('{JobState.ACCEPTED}', '{JobState.RUNNING}', '{JobState.LOST}')"
_LEASED = f"t.state IN ('{JobState.ACCEPTED}', '{JobState.RUNNING}') AND t.agent <> ''"
_QUEUED_BEFORE = f"(SELECT MAX(e.at) FROM {_EVENT} e WHERE e.job_id = t.id) < %s"
UNPLACED, MISPLACED = "waits in no queue", "waits in a queue of another cluster or pool"


@dataclass(frozen=True, slots=True, kw_only=True)
class RowCheck:
    """Of the rows t of a table, with others that are joined to them: what is wrong where these tests hold.

    `timed` are the tests that take a time, up to which what they look for may be under way.
    """

    table: str
    tests: dict[str, str]
    joined: str = ""
    timed: frozenset[str] = field(default_factory=frozenset)

    def findings(self, ids: Range, *, now: datetime) -> Iterator[Finding]:
        flags = ", ".join(f"CASE WHEN {test} THEN 1 ELSE 0 END" for test in self.tests.values())
        wrong = " OR ".join(f"({test})" for test in self.tests.values())
        times = [timestamp(now - _PLACED_WITHIN) for says in self.tests if says in self.timed]
        statement = (
            f"SELECT t.id, {flags} FROM {self.table} t {self.joined} "
            f"WHERE t.id > %s AND t.id <= %s AND ({wrong}) ORDER BY t.id"
        )
        for row_id, *found in fetch(statement, [*times, ids.after, ids.last, *times]):
            for says, is_so in zip(self.tests, found, strict=True):
                if is_so:
                    yield Finding(check="rows", table=self.table, row=row_id, says=says)


def row_checks() -> Iterator[RowCheck]:
    """Of all tables that name rows of others, and of those with further rules."""
    for model in apps.get_models(include_auto_created=True):
        table = model._meta.db_table
        special = _SPECIAL.get(table, RowCheck(table=table, tests={}))
        if tests := _references(model) | special.tests:
            yield RowCheck(table=table, tests=tests, joined=special.joined, timed=special.timed)


def _references(model: type[models.Model]) -> dict[str, str]:
    """The tests whether what a row names is missing; a queue may be gone once its jobs wait no more."""
    tests = {}
    for one in model._meta.local_concrete_fields:
        if isinstance(one, models.ForeignKey) and one.db_constraint:  # type: ignore[attr-defined]
            theirs, key = one.related_model._meta.db_table, one.target_field.column
            # PostgreSQL makes a join of NOT EXISTS, for which it may read the whole other table.
            there = f"(SELECT 1 FROM {theirs} r WHERE r.{key} = t.{one.column})"
            tests[f"{one.column} names a row that is not in {theirs}"] = (
                f"t.{one.column} IS NOT NULL AND {there} IS NULL"
            )
    return tests


_SPECIAL = {
    check.table: check
    for check in (
        RowCheck(
            table=Job._meta.db_table,
            joined=f"LEFT JOIN {_QUEUE} q ON q.id = t.queue_id LEFT JOIN {_CLUSTER} c ON c.id = t.cluster_id "
            f"LEFT JOIN {_CLUSTER} p ON p.id = t.taken_from_id LEFT JOIN {_CREDENTIAL} k ON k.id = t.submitted_by_id",
            tests={
                UNPLACED: f"t.state = '{JobState.QUEUED}' AND q.id IS NULL AND {_QUEUED_BEFORE}",
                MISPLACED: f"t.state = '{JobState.QUEUED}' AND q.cluster_id <> t.cluster_id",
                "is blocked, and waits for more or less than it counts": f"t.state = '{JobState.BLOCKED}' "
                f"AND t.unmet <> (SELECT COUNT(*) FROM {_DEPENDENCY} d WHERE d.job_id = t.id) "
                f"+ (SELECT COUNT(*) FROM {_GROUP_DEPENDENCY} d WHERE d.job_id = t.id) "
                "+ CASE WHEN t.retry_at IS NULL THEN 0 ELSE 1 END",
                "is blocked, and in a queue": f"t.state = '{JobState.BLOCKED}' AND t.queue_id IS NOT NULL",
                "an agent holds it without a lease": f"{_LEASED} AND t.lease_expires_at IS NULL",
                "is in the hands of a pool, which runs no jobs": f"{_IN_HAND} AND c.pool",
                "was taken from what is no pool": "NOT p.pool",
                "is a member of a group that is not there": f't."group" > 0 AND {_ITS_GROUP} IS NULL',
                "was submitted with a credential that is no token": f"k.kind = '{CredentialKind.SECRET}'",
            },
            timed=frozenset({UNPLACED}),
        ),
        RowCheck(
            table=Serves._meta.db_table,
            joined=f"LEFT JOIN {_QUEUE} q ON q.id = t.queue_id",
            tests={
                "serves a queue of another cluster, or of a pool that it is not in": "q.cluster_id <> t.cluster_id "
                f"AND NOT EXISTS (SELECT 1 FROM {_MEMBER} m WHERE m.pool_id = q.cluster_id "
                "AND m.cluster_id = t.cluster_id)"
            },
        ),
        RowCheck(
            table=_MEMBER,
            joined=f"LEFT JOIN {_CLUSTER} p ON p.id = t.pool_id LEFT JOIN {_CLUSTER} c ON c.id = t.cluster_id",
            tests={"is a member of what is no pool": "NOT p.pool", "is a member that is a pool itself": "c.pool"},
        ),
        RowCheck(
            table=_CREDENTIAL,
            joined=f"LEFT JOIN {_CLUSTER} c ON c.id = t.cluster_id",
            tests={
                "its digest is no SHA-256": "LENGTH(t.digest) <> 64",
                "is the secret of a pool, which never asks for jobs": f"c.pool AND t.kind = '{CredentialKind.SECRET}'",
            },
        ),
        RowCheck(table=FormerValue._meta.db_table, tests={"its digest is no SHA-256": "LENGTH(t.digest) <> 64"}),
    )
}
