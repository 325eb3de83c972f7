from collections.abc import Sequence

import click

from rainbow.records import Job
from rainbow.terminal import documents, session
from rainbow.terminal.following import exit_code_of, follow, step_of
from rainbow.terminal.options import json_option, observer_options, server_options
from rainbow.terminal.output import say, write_json_line
from rainbow.terminal.types import MAX_INT32, Whole

EPILOG = """\b
Examples:
  rainbow watch 7
  rainbow watch 7 8 9 --json

Exits as the first of these jobs that did not complete would under `submit --wait`.
"""


@click.command("watch", epilog=EPILOG)
@server_options
@observer_options
@json_option
@click.argument("jobids", metavar="ID...", nargs=-1, required=True, type=Whole(1, MAX_INT32))
@click.pass_context
def command(ctx: click.Context, jobids: Sequence[int], as_cluster: bool, as_json: bool) -> None:
    """Show each step of jobs, until they are over. With --json each is a document on a line."""
    with session.observer(ctx, as_cluster=as_cluster) as client:
        last = follow(client.watch_jobs(jobids), _write if as_json else lambda job: say(step_of(job)))
    codes = [exit_code_of(last[jobid]) for jobid in jobids]
    ctx.exit(next(filter(None, codes), 0))


def _write(job: Job) -> None:
    write_json_line(documents.watched(job))
