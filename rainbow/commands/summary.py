from dataclasses import replace
from datetime import UTC, datetime

import click

from rainbow.records import JobState, Summary
from rainbow.terminal import session
from rainbow.terminal.formatting import ago, last_asked
from rainbow.terminal.options import json_option, observer_options, server_options
from rainbow.terminal.output import say, write_json
from rainbow.terminal.tables import show_table
from rainbow.text import on_one_line

EPILOG = """\b
Examples:
  rainbow summary
  rainbow summary --cluster-name keebler --json
"""


@click.command("summary", epilog=EPILOG)
@server_options
@observer_options
@json_option
@click.pass_context
def command(ctx: click.Context, as_cluster: bool, as_json: bool) -> None:
    """Count a cluster's jobs in each state."""
    with session.observer(ctx, as_cluster=as_cluster) as client:
        summary = _with_every_state(client.summarize_jobs())
    if as_json:
        write_json(summary)
    else:
        _tell(summary, now=datetime.now(UTC))


def _with_every_state(summary: Summary) -> Summary:
    counts: dict[JobState, int] = {state: 0 for state in JobState if state != JobState.UNSPECIFIED}
    return replace(summary, counts={**counts, **summary.counts})


def _tell(summary: Summary, *, now: datetime) -> None:
    show_table(("STATE", "JOBS"), [[state.value, f"{number:,}"] for state, number in summary.counts.items()])
    if summary.oldest_submitted_at is not None:
        say(f"The oldest waiting job was submitted {ago(summary.oldest_submitted_at, now=now)}.")
    say(on_one_line(last_asked(summary.cluster, summary.agent_last_asked_at, now=now)))
    if summary.paused:
        say(on_one_line(f"{summary.cluster} gets no jobs now: {summary.paused}"))
    for held in summary.held_back:
        since = ago(held.held_at, now=now)
        say(on_one_line(f"{summary.cluster} holds back the jobs of token {held.token} since {since}: {held.reason}"))
    if summary.not_ready:
        say(on_one_line(f"{summary.cluster} takes no jobs now: {summary.not_ready}"))
