"""The columns of a list of jobs."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

import click

from rainbow.records import Job
from rainbow.states import EndCause, JobState
from rainbow.terminal.formatting import ago, span

Cell = Callable[[Job, datetime], str]

ABSENT = "-"
NO_JOBS = "No jobs."
MORE = "There are more; --all or a larger --limit lists them."
USUAL = ("id", "state", "name", "nodes", "submitted", "command")
OF_FAILURES = ("id", "state", "name", "ended", "code", "cause", "command", "why")
FAILURES = frozenset({JobState.FAILED, JobState.CANCELLED, JobState.LOST})


def _moment(moment: datetime | None, now: datetime) -> str:
    return ago(moment, now=now) if moment else ABSENT


def _number(number: int | None) -> str:
    return ABSENT if number is None else str(number)


def _cause(cause: EndCause) -> str:
    return ABSENT if cause is EndCause.UNSPECIFIED else cause.value.replace("_", " ")


COLUMNS: dict[str, Cell] = {
    "id": lambda job, now: str(job.id),
    "state": lambda job, now: job.state.value,
    "cluster": lambda job, now: job.cluster,
    "pool": lambda job, now: job.pool or ABSENT,
    "name": lambda job, now: job.name,
    "group": lambda job, now: _number(job.group or None),
    "index": lambda job, now: _number(job.array_index),
    "labels": lambda job, now: ",".join(f"{name}={value}" for name, value in sorted(job.labels.items())) or ABSENT,
    "owner": lambda job, now: job.owner or ABSENT,
    "project": lambda job, now: job.project or ABSENT,
    "nodes": lambda job, now: str(job.nodes),
    "tasks": lambda job, now: _number(job.tasks or None),
    "limit": lambda job, now: span(job.time_limit_seconds) if job.time_limit_seconds else ABSENT,
    "submitted": lambda job, now: _moment(job.submitted_at, now),
    "started": lambda job, now: _moment(job.started_at, now),
    "ended": lambda job, now: _moment(job.finished_at, now),
    "attempt": lambda job, now: _number(job.attempt or None),
    "native-id": lambda job, now: job.native_id or ABSENT,
    "code": lambda job, now: _number(job.exit_code),
    "cause": lambda job, now: _cause(job.end_cause),
    "command": lambda job, now: job.command,
    "why": lambda job, now: job.reason or ABSENT,
}


def columns_in(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[str, ...]:
    """What --format names, and nothing where it is not given. Raises BadParameter."""
    if value is None:
        return ()
    names = tuple(name.strip().lower() for name in value.split(","))
    for name in names:
        if name not in COLUMNS:
            raise click.BadParameter(f"{name!r} is none of {', '.join(COLUMNS)}.", ctx, param)
    return names


def usual_columns(jobs: Iterable[Job], *, states: Sequence[JobState]) -> tuple[str, ...]:
    """Of jobs that failed, how and why. The cluster is there where it is not one: of a pool, or of a person's jobs."""
    names = OF_FAILURES if states and FAILURES.issuperset(states) else USUAL
    several = len({job.cluster for job in jobs}) > 1
    return (*names[:2], "cluster", *names[2:]) if several else names


def titles(names: Iterable[str]) -> list[str]:
    return [name.upper().replace("-", " ") for name in names]


def rows_of(jobs: Iterable[Job], names: Sequence[str], *, now: datetime) -> list[list[str]]:
    return [[COLUMNS[name](job, now) for name in names] for job in jobs]
