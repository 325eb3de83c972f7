from collections.abc import Iterator
from datetime import UTC, datetime

import click

from rainbow.records import Job, JobGroup
from rainbow.terminal import session
from rainbow.terminal.completion import groups
from rainbow.terminal.formatting import when
from rainbow.terminal.group_hindrance import hindrance_of
from rainbow.terminal.groups import named, over, whole
from rainbow.terminal.options import json_option, observer_options, server_options
from rainbow.terminal.output import say, write_json
from rainbow.terminal.tables import aligned, show_table
from rainbow.terminal.types import GroupId
from rainbow.text import on_one_line

EPILOG = """\b
Examples:
  rainbow group 12
  rainbow group 12 --json
"""
FAILURE_COLUMNS = ("ID", "INDEX", "EXIT CODE", "REASON", "NAME")


@click.command("group", epilog=EPILOG)
@server_options
@observer_options
@json_option
@click.argument("group", metavar="ID", type=GroupId(), shell_complete=groups)
@click.pass_context
def command(ctx: click.Context, group: int, as_cluster: bool, as_json: bool) -> None:
    """Show one group: how many of its jobs are in each state, and the first that failed."""
    with session.observer(ctx, as_cluster=as_cluster) as client, named(group):
        found = client.get_group(group)
        hindrance = None if as_json else hindrance_of(client, found)
    if as_json:
        write_json(whole(found))
    else:
        _tell(found, waits=hindrance.text if hindrance else "", now=datetime.now(UTC))


def _tell(group: JobGroup, *, waits: str, now: datetime) -> None:
    say(aligned([(f"{name}:", on_one_line(value)) for name, value in _facts(group, waits=waits, now=now) if value]))
    say("")
    show_table(("STATE", "JOBS"), [[state.value, f"{number:,}"] for state, number in group.counts.items()])
    if group.failures:
        say("\nThe first that failed:")
        show_table(FAILURE_COLUMNS, [_failure(job) for job in group.failures])


def _facts(group: JobGroup, *, waits: str, now: datetime) -> Iterator[tuple[str, str]]:
    done = over(group)
    yield "id", str(group.id)
    yield "name", group.name
    yield "cluster", group.cluster
    yield "progress", f"{done:,} of {group.members:,} are over ({done * 100 // max(1, group.members)} %)"
    yield "waits", waits
    yield "open", "yes, it takes further jobs" if group.open else ""
    yield "at once", f"{group.at_once:,}" if group.at_once else ""
    yield "stops after", f"{group.stop_after_failures:,} failed" if group.stop_after_failures else ""
    yield "stopped", _stopped(group, now=now)
    yield "owner", group.owner
    yield "project", group.project
    yield "submitted by", group.submitted_by
    yield "submitted", when(group.made_at, now=now)
    yield "finished", when(group.finished_at, now=now) if group.finished_at else ""


def _stopped(group: JobGroup, *, now: datetime) -> str:
    if group.stopped_at is None:
        return ""
    return f"{when(group.stopped_at, now=now)}: {group.why}" if group.why else when(group.stopped_at, now=now)


def _failure(job: Job) -> list[str]:
    index = "" if job.array_index is None else str(job.array_index)
    code = "" if job.exit_code is None else str(job.exit_code)
    return [str(job.id), index, code, job.reason, job.name]
