from collections.abc import Sequence
from contextlib import nullcontext

import click

from rainbow.client import Client
from rainbow.retries import PATIENCE_SECONDS
from rainbow.slurm_commands.job_ids import JobRef
from rainbow.terminal import documents, session
from rainbow.terminal.completion import groups
from rainbow.terminal.following import exit_code_of, step_of
from rainbow.terminal.group_wait import wait_for_group
from rainbow.terminal.groups import exit_code_of_group, whole
from rainbow.terminal.options import json_option, observer_options, server_options
from rainbow.terminal.output import say, write_json
from rainbow.terminal.slurm_jobs import jobids_of
from rainbow.terminal.types import GroupId, JobIds
from rainbow.terminal.why_waiting import WhyWaiting

EPILOG = """\b
Examples:
  rainbow wait 7
  rainbow wait 7 8 9 && rainbow fetch 9
  rainbow wait 12_3
  rainbow wait --group 12

Exits as the first of these jobs that did not complete would under `submit --wait`. With --group: with 1 when one of its
jobs failed, and with 143 when none did and one was cancelled. A job that is lost is waited for.
"""


@click.command("wait", epilog=EPILOG)
@server_options
@observer_options
@json_option
@click.option("--group", type=GroupId(), shell_complete=groups, help="This group, in place of IDs.")
@click.argument("refs", metavar="[ID...]", nargs=-1, type=JobIds())
@click.pass_context
def command(ctx: click.Context, refs: Sequence[JobRef], group: int | None, as_cluster: bool, as_json: bool) -> None:
    """Wait until jobs are over, and say how each ended. `rainbow watch` shows each step."""
    if bool(refs) == (group is not None):
        raise click.UsageError("Give either the ids of jobs or --group.")
    with session.observer(ctx, as_cluster=as_cluster) as client:
        ctx.exit(
            _wait_for_jobs(client, jobids_of(client, refs), as_json=as_json)
            if group is None
            else _wait_for_group(client, group, as_json=as_json)
        )


def _wait_for_jobs(client: Client, jobids: Sequence[int], *, as_json: bool) -> int:
    last = {}
    with nullcontext() if as_json else WhyWaiting(client) as waiting:
        for job in client.watch_jobs(jobids, first_seconds=PATIENCE_SECONDS):
            last[job.id] = job
            if waiting:
                waiting.note(job)
                if job.finished_at:
                    say(step_of(job))
    ended = [last[jobid] for jobid in dict.fromkeys(jobids)]
    if as_json:
        write_json({"jobs": [documents.watched(job) for job in ended]})
    return next(filter(None, map(exit_code_of, ended)), 0)


def _wait_for_group(client: Client, group: int, *, as_json: bool) -> int:
    last = wait_for_group(client, group, quiet=as_json)
    if as_json:
        write_json(whole(last))
    return exit_code_of_group(last)
