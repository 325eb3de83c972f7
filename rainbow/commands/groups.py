from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import islice

import click

from rainbow.records import JobGroup
from rainbow.terminal import session
from rainbow.terminal.formatting import ago
from rainbow.terminal.groups import brief_counts, document
from rainbow.terminal.options import json_option, observer_options, server_options
from rainbow.terminal.output import complain, say, write_json
from rainbow.terminal.tables import show_table
from rainbow.terminal.types import Whole

EPILOG = """\b
Examples:
  rainbow groups
  rainbow groups --going --json
"""
COLUMNS = ("ID", "NAME", "CLUSTER", "JOBS", "STATES", "SUBMITTED", "FINISHED")
USUAL_LIMIT = 20
LARGEST_PAGE = 1000


@click.command("groups", epilog=EPILOG)
@server_options
@observer_options
@click.option("--going", is_flag=True, help="Only groups that are not finished.")
@click.option("--limit", type=Whole(min=1), default=USUAL_LIMIT, show_default=True, help="How many groups to list.")
@json_option
@click.pass_context
def command(ctx: click.Context, as_cluster: bool, going: bool, limit: int, as_json: bool) -> None:
    """List groups of jobs, newest first."""
    with session.observer(ctx, as_cluster=as_cluster) as client:
        pages = client.list_groups(going=going, page_size=min(limit + 1, LARGEST_PAGE))
        found = list(islice(pages, limit + 1))
    groups, more = found[:limit], len(found) > limit
    if as_json:
        write_json({"groups": [document(group) for group in groups], "more": more})
    else:
        _tell(groups, more=more, now=datetime.now(UTC))


def _tell(groups: Sequence[JobGroup], *, more: bool, now: datetime) -> None:
    if not groups:
        say("No groups.")
        return
    show_table(COLUMNS, [_row(group, now=now) for group in groups])
    if more:
        complain("There are more; a larger --limit lists them.")


def _row(group: JobGroup, *, now: datetime) -> list[str]:
    made = ago(group.made_at, now=now)
    finished = ago(group.finished_at, now=now) if group.finished_at else "-"
    return [str(group.id), group.name, group.cluster, f"{group.members:,}", brief_counts(group), made, finished]
