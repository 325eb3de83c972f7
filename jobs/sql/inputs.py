"""Statements on inputs, the files that jobs are submitted with."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from clusters.sql.cursors import vendor
from clusters.sql.moments import timestamp
from jobs.models import Input, Job, JobInput
from jobs.sql.statements import Columns, among_ids, fetch, ids_as_value, insert, run
from jobs.states import FINAL

_INPUT, _LINK, _JOB = Input._meta.db_table, JobInput._meta.db_table, Job._meta.db_table
_AT_ONCE = 500


class Known(NamedTuple):
    id: int
    size: int


def known_inputs(wanted: Mapping[str, Iterable[str]]) -> dict[tuple[str, str], Known]:
    """By scope and digest, those of each scope that are kept. They stay until the transaction ends."""
    lock = "FOR KEY SHARE" if vendor() == "postgresql" else ""
    found: dict[tuple[str, str], Known] = {}
    for scope in sorted(wanted):
        digests = sorted(set(wanted[scope]))
        for start in range(0, len(digests), _AT_ONCE):
            part = digests[start : start + _AT_ONCE]
            marks = ",".join(["%s"] * len(part))
            rows = fetch(
                f"SELECT sha256, id, size FROM {_INPUT} WHERE scope = %s AND sha256 IN ({marks}) ORDER BY id {lock}",
                [scope, *part],
            )
            found |= {(scope, sha256): Known(id=id, size=size) for sha256, id, size in rows}
    return found


def insert_uses(uses: Iterable[tuple[int, int]]) -> None:
    """That jobs name inputs, as (job id, input id)."""
    rows = list(uses)
    columns: Columns = {"job_id": [job_id for job_id, _ in rows], "input_id": [input_id for _, input_id in rows]}
    insert(JobInput, columns)


def lock_scope(scope: str) -> None:
    """Until the transaction ends no other adds to the scope. On SQLite a writing transaction is alone."""
    if vendor() == "postgresql":
        fetch("SELECT pg_advisory_xact_lock(hashtextextended(%s, 16))", [f"inputs of {scope}"])


def old_inputs(*, before: datetime, limit: int) -> list[int]:
    """The ids of those that were kept first, before a time; locks them, but waits for none."""
    lock = "FOR UPDATE SKIP LOCKED" if vendor() == "postgresql" else ""
    rows = fetch(
        f"SELECT id FROM {_INPUT} WHERE kept_at < %s ORDER BY kept_at LIMIT %s {lock}", [timestamp(before), limit]
    )
    return [id for (id,) in rows]


def needed(ids: Sequence[int]) -> list[int]:
    """Those that a job names which is not over."""
    over = ",".join(f"'{state}'" for state in sorted(FINAL))
    rows = fetch(
        f"SELECT i.id FROM {_INPUT} i WHERE i.id {among_ids()} AND EXISTS (SELECT 1 FROM {_LINK} l JOIN {_JOB} j"
        f" ON j.id = l.job_id WHERE l.input_id = i.id AND j.state NOT IN ({over}))",
        [ids_as_value(ids)],
    )
    return [id for (id,) in rows]


def delete_inputs(ids: Sequence[int]) -> None:
    run(f"DELETE FROM {_LINK} WHERE input_id {among_ids()}", [ids_as_value(ids)])
    run(f"DELETE FROM {_INPUT} WHERE id {among_ids()}", [ids_as_value(ids)])
