"""What is measured, one file each. An entry starts the servers that it needs and reports what it found."""

from collections.abc import Callable

from benchmarks.bench import Bench
from benchmarks.entries import (
    agent_holds,
    agent_jobs,
    behind_larger,
    bulk,
    console,
    further_calls,
    groups,
    growth,
    idle,
    log_lines,
    lone_call,
    lone_jobs,
    many_queues,
    metrics,
    mixed_load,
    rest,
    verbs,
    wakeups,
    workers,
    worst_case,
)
from benchmarks.report import Report

Entry = Callable[[Bench], Report]

ENTRIES: dict[str, Entry] = {
    "verbs": verbs.measure,
    "further-calls": further_calls.measure,
    "lone-call": lone_call.measure,
    "bulk": bulk.measure,
    "workers": workers.measure,
    "idle": idle.measure,
    "growth": growth.measure,
    "groups": groups.measure,
    "log-lines": log_lines.measure,
    "metrics": metrics.measure,
    "mixed-load": mixed_load.measure,
    "console": console.measure,
    "rest": rest.measure,
    "agent-holds": agent_holds.measure,
    "agent-jobs": agent_jobs.measure,
    "lone-jobs": lone_jobs.measure,
    "behind-larger": behind_larger.measure,
    "many-queues": many_queues.measure,
    "wakeups": wakeups.measure,
    "worst-case": worst_case.measure,
}
# Too long to go with the others.
ALONE = frozenset(
    {
        "agent-holds",
        "agent-jobs",
        "lone-jobs",
        "groups",
        "mixed-load",
        "rest",
        "console",
        "behind-larger",
        "many-queues",
        "wakeups",
        "worst-case",
    }
)
# The same on every database.
ONCE = frozenset({"log-lines"})
