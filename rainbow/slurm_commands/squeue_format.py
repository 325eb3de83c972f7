"""The table of squeue: `--format` with its % codes."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from rainbow.errors import InvalidArgument
from rainbow.records import Job, JobState
from rainbow.slurm_commands.durations import brief_clock
from rainbow.slurm_commands.job_ids import array_id, base_id, shown_id
from rainbow.slurm_commands.job_states import slurm_state
from rainbow.slurm_commands.job_view import Tell, View, cores, index, limit, moment, why_pending
from rainbow.slurm_commands.waiting_tasks import Entry
from rainbow.text import on_one_line

USUAL = "%.18i %.9P %.8j %.8u %.2t %.10M %.6D %R"
LONG = "%.18i %.9P %.8j %.8u %.8T %.10M %.9l %.6D %R"
_CODE = re.compile(r"%(?P<right>\.?)(?P<width>[0-9]{0,4})(?P<letter>[A-Za-z%])", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    title: str
    tell: Tell


def _pending_reason(view: View, job: Job) -> str:
    if job.state in (JobState.RUNNING, JobState.LOST):
        return job.cluster if job.state is JobState.RUNNING else "(contact lost)"
    return f"({why_pending(job)})"


def _time_left(view: View, job: Job) -> str:
    if not job.time_limit_seconds:
        return "UNLIMITED"
    return brief_clock(timedelta(seconds=job.time_limit_seconds) - view.elapsed(job))


COLUMNS: Mapping[str, Column] = {
    letter: Column(title=title, tell=tell)
    for letter, title, tell in (
        ("a", "ACCOUNT", lambda view, job: job.account or "(null)"),
        ("A", "JOBID", lambda view, job: str(job.id)),
        ("C", "CPUS", lambda view, job: str(cores(job))),
        ("D", "NODES", lambda view, job: str(job.nodes)),
        ("e", "END_TIME", lambda view, job: moment(job.finished_at, unknown="N/A")),
        ("E", "DEPENDENCY", lambda view, job: ",".join(job.after) or "(null)"),
        ("f", "FEATURES", lambda view, job: job.constraint or "(null)"),
        ("F", "ARRAY_JOB_ID", lambda view, job: base_id(job)),
        ("i", "JOBID", lambda view, job: shown_id(job)),
        ("j", "NAME", lambda view, job: job.name),
        ("k", "COMMENT", lambda view, job: job.labels.get("comment", "(null)")),
        ("K", "ARRAY_TASK_ID", lambda view, job: index(job, none="N/A")),
        ("l", "TIME_LIMIT", lambda view, job: _limit(job)),
        ("L", "TIME_LEFT", _time_left),
        ("m", "MIN_MEMORY", lambda view, job: f"{job.memory_mib_per_node}M" if job.memory_mib_per_node else "0"),
        ("M", "TIME", lambda view, job: brief_clock(view.elapsed(job))),
        ("N", "NODELIST", lambda view, job: ""),
        ("o", "COMMAND", lambda view, job: job.command),
        ("P", "PARTITION", lambda view, job: job.partition or job.cluster),
        ("q", "QOS", lambda view, job: job.qos or "normal"),
        ("Q", "PRIORITY", lambda view, job: str(job.priority)),
        ("r", "REASON", lambda view, job: why_pending(job)),
        ("R", "NODELIST(REASON)", _pending_reason),
        ("S", "START_TIME", lambda view, job: moment(job.started_at, unknown="N/A")),
        ("t", "ST", lambda view, job: slurm_state(job).code),
        ("T", "STATE", lambda view, job: slurm_state(job).name),
        ("u", "USER", lambda view, job: view.user_of(job)),
        ("v", "RESERVATION", lambda view, job: job.reservation or "(null)"),
        ("V", "SUBMIT_TIME", lambda view, job: moment(job.submitted_at, unknown="N/A")),
        ("w", "WCKEY", lambda view, job: job.labels.get("wckey", "(null)")),
        ("Z", "WORK_DIR", lambda view, job: job.working_directory),
    )
}

# What is told of several tasks otherwise than of one.
OF_WAITING_TASKS: Mapping[str, Callable[[Entry], str]] = {
    "A": lambda entry: str(array_id(entry.job.group)),
    "i": lambda entry: f"{array_id(entry.job.group)}_[{entry.tasks}]",
    "K": lambda entry: entry.tasks,
}


def check_format(text: str) -> None:
    """Raises InvalidArgument for a code that is unknown."""
    for found in _CODE.finditer(text):
        if found["letter"] not in COLUMNS and found["letter"] != "%":
            raise InvalidArgument(f"--format: %{found['letter']} is unknown; known are {' '.join(sorted(COLUMNS))}")


def lines(text: str, entries: Iterable[Entry], *, view: View, header: bool) -> Iterable[str]:
    if header:
        yield _filled(text, _title)
    for entry in entries:
        yield _filled(text, partial(_value, view, entry))


def _filled(text: str, told: Callable[[str], str]) -> str:
    return _CODE.sub(lambda found: _cell(found, told(found["letter"])), text).rstrip()


def _title(letter: str) -> str:
    return "%" if letter == "%" else COLUMNS[letter].title


def _value(view: View, entry: Entry, letter: str) -> str:
    if letter == "%":
        return "%"
    if entry.tasks and letter in OF_WAITING_TASKS:
        return OF_WAITING_TASKS[letter](entry)
    return on_one_line(COLUMNS[letter].tell(view, entry.job))


def _cell(found: re.Match[str], value: str) -> str:
    width = int(found["width"] or 0)
    if not width:
        return value
    return value[:width].rjust(width) if found["right"] else value[:width].ljust(width)


def _limit(job: Job) -> str:
    if not job.time_limit_seconds:
        return limit(job, none="UNLIMITED")
    return brief_clock(timedelta(seconds=job.time_limit_seconds))
