"""Whether the events of jobs lead to their states, and their labels' rows are those of their labels."""

import json
from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

from jobs.models import Job, JobEvent, JobLabel
from jobs.queries.checks.finding import Finding, Range
from jobs.sql.statements import fetch
from jobs.states import MOVES, NEXT_ATTEMPT, UNTAKEN, JobState, What

JOBS = Job._meta.db_table
_HISTORIES = (
    f"SELECT t.id, t.state, t.attempt, e.id, e.what, e.state, e.attempt FROM {JOBS} t "
    f"LEFT JOIN {JobEvent._meta.db_table} e ON e.job_id = t.id AND e.job_id > %s AND e.job_id <= %s "
    "WHERE t.id > %s AND t.id <= %s ORDER BY t.id, e.id"
)
_LABELS = (
    f"SELECT t.id, t.labels, l.key, l.value FROM {JOBS} t "
    f"LEFT JOIN {JobLabel._meta.db_table} l ON l.job_id = t.id AND l.job_id > %s AND l.job_id <= %s "
    "WHERE t.id > %s AND t.id <= %s ORDER BY t.id"
)


class _Event(NamedTuple):
    id: int | None
    what: str
    state: str
    attempt: int


def histories(ids: Range) -> Iterator[Finding]:
    """The jobs whose events do not lead to their state and attempt along the moves."""
    rows = fetch(_HISTORIES, [ids.after, ids.last] * 2)
    for (job_id, state, attempt), its in groupby(rows, itemgetter(0, 1, 2)):
        if says := _wrong(state, attempt, [_Event(*row[3:]) for row in its]):
            yield Finding(check="events", table=JOBS, row=job_id, says=says)


def labels(ids: Range) -> Iterator[Finding]:
    """The jobs that are found by other labels than they have."""
    rows = fetch(_LABELS, [ids.after, ids.last] * 2)
    for job_id, its in groupby(rows, itemgetter(0)):
        (_, said, *_), *_ = them = list(its)
        indexed = {key: value for _, _, key, value in them if key is not None}
        if (json.loads(said) if isinstance(said, str) else said) != indexed:
            yield Finding(check="labels", table=JOBS, row=job_id, says="its labels are not those that it is found by")


def _wrong(state: str, attempt: int, events: Sequence[_Event]) -> str:
    first, *later = events
    if first.id is None:
        return "has no events"
    if (first.what, first.attempt) != (What.SUBMITTED, 1) or first.state not in UNTAKEN:
        return f"its first event, {first.id}, is {_told(first)}, and not its submission"
    before = first
    for event in later:
        if not _follows(event, before):
            return f"its event {event.id}, {_told(event)}, cannot follow {_told(before)}"
        before = event
    if (before.state, before.attempt) != (state, attempt):
        return f"its events lead to {before.state} at attempt {before.attempt}; it is {state} at attempt {attempt}"
    return ""


def _follows(event: _Event, before: _Event) -> bool:
    moves = event.state == before.state or event.state in MOVES[JobState(before.state)]
    return moves and event.attempt - before.attempt == (event.what in NEXT_ATTEMPT)


def _told(event: _Event) -> str:
    return f"{event.what} ({event.state}, attempt {event.attempt})"
