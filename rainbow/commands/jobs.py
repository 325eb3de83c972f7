import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import click
from rich.console import Console

from rainbow.records import JobState
from rainbow.terminal import documents, session
from rainbow.terminal.completion import groups
from rainbow.terminal.job_columns import MORE, NO_JOBS, columns_in, rows_of, titles, usual_columns
from rainbow.terminal.job_search import Listed, Search, listed
from rainbow.terminal.live_jobs import keep_showing
from rainbow.terminal.options import json_option, label_option, observer_options, server_options, state_option
from rainbow.terminal.output import complain, say, write_json
from rainbow.terminal.tables import show_table
from rainbow.terminal.types import GroupId, Since, Whole

EPILOG = """\b
Examples:
  rainbow jobs --state queued --state running
  rainbow jobs --label project=demo --all --json
  rainbow jobs --group 12 --state failed
  rainbow jobs --since 2h --format id,state,ended,why
  rainbow jobs --watch
"""
USUAL_LIMIT = 20


@click.command("jobs", epilog=EPILOG)
@server_options
@observer_options
@state_option("Only jobs in this state; repeatable.")
@label_option("Only jobs with this label; repeatable.")
@click.option("--job-name", "name", default="", metavar="NAME", help="Only jobs of exactly this name.")
@click.option("--group", type=GroupId(), shell_complete=groups, help="Only the members of this group.")
@click.option("--limit", type=Whole(min=1), help="How many jobs to list.  [default: 20]")
@click.option("--all", "everything", is_flag=True, help="List them all.")
@click.option(
    "--since", type=Since(), metavar="SPAN|TIME", help="Only jobs that were submitted since then: 2h, 2026-12-01T12:00."
)
@click.option(
    "--format", "columns", metavar="NAME,...", callback=columns_in, help="These columns; a wrong name lists them all."
)
@click.option("--watch", "watching", is_flag=True, help="Draw the table again every 2 seconds, until Ctrl-C.")
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    as_cluster: bool,
    states: Sequence[str],
    labels: Mapping[str, str],
    name: str,
    group: int | None,
    limit: int | None,
    everything: bool,
    since: datetime | None,
    columns: Sequence[str],
    watching: bool,
    as_json: bool,
) -> None:
    """List jobs, newest first, and of those that failed the exit code and why.

    A token lists the jobs that were submitted with it, the cluster's secret all jobs of the cluster.
    """
    _check(limit=limit, everything=everything, columns=columns, watching=watching, as_json=as_json)
    search = Search(
        states=[JobState(state) for state in states],
        labels=labels,
        name=name,
        group=group or 0,
        since=since,
        most=None if everything else limit or USUAL_LIMIT,
    )
    with session.observer(ctx, as_cluster=as_cluster) as client:
        if watching:
            keep_showing(client, search, columns, console=Console())
        found = listed(client, search)
    if as_json:
        write_json({"jobs": [documents.listed(job) for job in found.jobs], "more": found.more})
    else:
        _tell(found, columns or usual_columns(found.jobs, states=search.states))


def _check(*, limit: int | None, everything: bool, columns: Sequence[str], watching: bool, as_json: bool) -> None:
    if everything and limit is not None:
        raise click.UsageError("Give either --limit or --all.")
    if as_json and (columns or watching):
        raise click.UsageError("--format and --watch are for tables; --json has all fields.")
    if watching and everything:
        raise click.UsageError("--watch asks every 2 seconds; give it a --limit in place of --all.")
    if watching and not sys.stdout.isatty():
        raise click.UsageError("--watch needs a terminal; `rainbow watch ID... --json` follows jobs in a script.")


def _tell(found: Listed, columns: Sequence[str]) -> None:
    if not found.jobs:
        say(NO_JOBS)
        return
    show_table(titles(columns), rows_of(found.jobs, columns, now=datetime.now(UTC)))
    if found.more:
        complain(MORE)
