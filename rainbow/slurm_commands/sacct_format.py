"""The table of sacct: `--format` with the names of its fields."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from rainbow.errors import InvalidArgument
from rainbow.slurm_commands.durations import clock
from rainbow.slurm_commands.job_ids import array_id, shown_id
from rainbow.slurm_commands.job_states import exit_code, slurm_state
from rainbow.slurm_commands.job_view import Tell, View, cores, limit, moment, why_pending
from rainbow.slurm_commands.waiting_tasks import Entry
from rainbow.text import on_one_line

USUAL = "JobID,JobName,Partition,Account,AllocCPUS,State,ExitCode"
BRIEF = "JobID,State,ExitCode"
MOST_WIDTH = 10_000
_WIDTH = re.compile(r"-?[0-9]{1,9}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """Its `width` on a page, and what it tells."""

    title: str
    width: int
    tell: Tell


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A negative width aligns to the left."""

    field: Field
    width: int


FIELDS: Mapping[str, Field] = {
    title.lower(): Field(title=title, width=width, tell=tell)
    for title, width, tell in (
        ("JobID", 12, lambda view, job: shown_id(job)),
        ("JobIDRaw", 12, lambda view, job: str(job.id)),
        ("JobName", 10, lambda view, job: job.name),
        ("Partition", 10, lambda view, job: job.partition),
        ("Account", 10, lambda view, job: job.account),
        ("AllocCPUS", 10, lambda view, job: str(cores(job))),
        ("ReqCPUS", 8, lambda view, job: str(cores(job))),
        ("NCPUS", 10, lambda view, job: str(cores(job))),
        ("NNodes", 8, lambda view, job: str(job.nodes)),
        ("AllocNodes", 10, lambda view, job: str(job.nodes)),
        ("NTasks", 8, lambda view, job: str(job.tasks or job.nodes)),
        ("NodeList", 15, lambda view, job: "None assigned"),
        ("ReqMem", 10, lambda view, job: f"{job.memory_mib_per_node}M" if job.memory_mib_per_node else ""),
        ("State", 10, lambda view, job: slurm_state(job).name),
        ("ExitCode", 8, lambda view, job: exit_code(job)),
        ("DerivedExitCode", 15, lambda view, job: exit_code(job)),
        ("Reason", 22, lambda view, job: why_pending(job)),
        ("Submit", 19, lambda view, job: moment(job.submitted_at, unknown="Unknown")),
        ("Eligible", 19, lambda view, job: moment(job.submitted_at, unknown="Unknown")),
        ("Start", 19, lambda view, job: moment(job.started_at, unknown="Unknown")),
        ("End", 19, lambda view, job: moment(job.finished_at, unknown="Unknown")),
        ("Elapsed", 10, lambda view, job: clock(view.elapsed(job))),
        ("ElapsedRaw", 10, lambda view, job: str(int(view.elapsed(job).total_seconds()))),
        ("CPUTimeRAW", 10, lambda view, job: str(int(view.elapsed(job).total_seconds()) * cores(job))),
        ("Timelimit", 10, lambda view, job: limit(job, none="UNLIMITED")),
        ("User", 9, lambda view, job: view.user_of(job)),
        ("Cluster", 10, lambda view, job: job.cluster),
        ("QOS", 10, lambda view, job: job.qos),
        ("Priority", 10, lambda view, job: str(job.priority)),
        ("Constraints", 19, lambda view, job: job.constraint),
        ("Reservation", 20, lambda view, job: job.reservation),
        ("Comment", 14, lambda view, job: job.labels.get("comment", "")),
        ("WCKey", 10, lambda view, job: job.labels.get("wckey", "")),
        ("WorkDir", 20, lambda view, job: job.working_directory),
        ("SubmitLine", 20, lambda view, job: job.command),
    )
}

# What is told of several tasks otherwise than of one.
OF_WAITING_TASKS: Mapping[str, Callable[[Entry], str]] = {
    "JobID": lambda entry: f"{array_id(entry.job.group)}_[{entry.tasks}]",
    "JobIDRaw": lambda entry: str(array_id(entry.job.group)),
}


def columns(text: str) -> list[Column]:
    """Raises InvalidArgument for a field that is unknown, as those of what a job used are."""
    return [_column(part.strip()) for part in text.split(",") if part.strip()]


def _column(text: str) -> Column:
    name, _, width = text.partition("%")
    field = FIELDS.get(name.lower())
    if field is None:
        known = ", ".join(field.title for field in FIELDS.values())
        raise InvalidArgument(f"--format: there is no field {name}; known are {known}")
    if width and not (_WIDTH.fullmatch(width) and 0 < abs(int(width)) <= MOST_WIDTH):
        raise InvalidArgument(f"--format: {text}: the width must be a number from 1")
    return Column(field=field, width=int(width) if width else field.width)


def table(chosen: Sequence[Column], entries: Iterable[Entry], *, view: View, header: bool) -> Iterable[str]:
    if header:
        yield "".join(_padded(column.field.title, column.width) for column in chosen)
        yield "".join(f"{'-' * abs(column.width)} " for column in chosen)
    for entry in entries:
        yield "".join(_padded(_value(column, view, entry), column.width) for column in chosen)


def parsable(
    chosen: Sequence[Column], entries: Iterable[Entry], *, view: View, header: bool, between: str, at_end: bool
) -> Iterable[str]:
    end = between if at_end else ""
    if header:
        yield between.join(column.field.title for column in chosen) + end
    for entry in entries:
        yield between.join(_value(column, view, entry) for column in chosen) + end


def _value(column: Column, view: View, entry: Entry) -> str:
    title = column.field.title
    if entry.tasks and title in OF_WAITING_TASKS:
        return OF_WAITING_TASKS[title](entry)
    return on_one_line(column.field.tell(view, entry.job))


def _padded(text: str, width: int) -> str:
    """Cut with a + where there is no room, as sacct does."""
    room = abs(width)
    shown = text if len(text) <= room else text[: room - 1] + "+"
    return f"{shown.ljust(room) if width < 0 else shown.rjust(room)} "
