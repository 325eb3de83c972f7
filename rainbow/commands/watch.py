from collections.abc import Sequence
from contextlib import nullcontext

import click

from rainbow.client import Client
from rainbow.records import Job, JobGroup
from rainbow.slurm_commands.job_ids import JobRef
from rainbow.terminal import documents, session
from rainbow.terminal.completion import groups
from rainbow.terminal.following import exit_code_of, follow, step_of
from rainbow.terminal.group_news import GroupNews
from rainbow.terminal.groups import document, exit_code_of_group, named, progress_of
from rainbow.terminal.options import json_option, observer_options, server_options
from rainbow.terminal.output import say, write_json_line
from rainbow.terminal.slurm_jobs import jobids_of
from rainbow.terminal.types import GroupId, JobIds

EPILOG = """\b
Examples:
  rainbow watch 7
  rainbow watch 7 8 9 --json
  rainbow watch --group 12

Exits as the first of these jobs that did not complete would under `submit --wait`. With --group: with 1 when one of its
jobs failed, and with 143 when none did and one was cancelled.
"""


@click.command("watch", epilog=EPILOG)
@server_options
@observer_options
@json_option
@click.option("--group", type=GroupId(), shell_complete=groups, help="How far this group is, in place of IDs.")
@click.argument("refs", metavar="[ID...]", nargs=-1, type=JobIds())
@click.pass_context
def command(ctx: click.Context, refs: Sequence[JobRef], group: int | None, as_cluster: bool, as_json: bool) -> None:
    """Show each step of jobs, until they are over. With --json each is a document on a line."""
    if bool(refs) == (group is not None):
        raise click.UsageError("Give either the ids of jobs or --group.")
    if group is not None:
        with session.observer(ctx, as_cluster=as_cluster) as client:
            ctx.exit(_watch_group(client, group, as_json=as_json))
    with session.observer(ctx, as_cluster=as_cluster) as client:
        jobids = jobids_of(client, refs)
        last = follow(client.watch_jobs(jobids), _write if as_json else lambda job: say(step_of(job)))
    codes = [exit_code_of(last[jobid]) for jobid in jobids]
    ctx.exit(next(filter(None, codes), 0))


def _watch_group(client: Client, group: int, *, as_json: bool) -> int:
    last: JobGroup | None = None
    with named(group), nullcontext() if as_json else GroupNews(client) as news:
        for now in client.watch_group(group):
            if last is None or now.counts != last.counts or now.finished_at:
                _tell_group(now, as_json=as_json)
            last = now
            if news:
                news.note(now)
    return exit_code_of_group(last) if last else 0


def _tell_group(group: JobGroup, *, as_json: bool) -> None:
    if as_json:
        write_json_line(document(group))
    else:
        say(progress_of(group))


def _write(job: Job) -> None:
    write_json_line(documents.watched(job))
