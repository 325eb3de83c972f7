"""What is measured, one file each. An entry starts the servers that it needs and reports what it found."""

from collections.abc import Callable

from benchmarks.bench import Bench
from benchmarks.entries import agent, idle, log_lines, rest, room, verbs, waiting_jobs
from benchmarks.report import Report

Entry = Callable[[Bench], Report]

ENTRIES: dict[str, Entry] = {
    "verbs": verbs.measure,
    "log-lines": log_lines.measure,
    "waiting-jobs": waiting_jobs.measure,
    "idle": idle.measure,
    "room": room.measure,
    "rest": rest.measure,
    "agent": agent.measure,
}
