from collections.abc import Sequence
from datetime import UTC, datetime

import click

from rainbow.client import Client
from rainbow.errors import InvalidArgument
from rainbow.records import Job
from rainbow.slurm_commands.job_ids import JobRef, job_refs
from rainbow.slurm_commands.job_states import states_in
from rainbow.slurm_commands.job_view import View
from rainbow.slurm_commands.selection import Selection
from rainbow.slurm_commands.squeue_format import LONG, USUAL, check_format, lines
from rainbow.terminal import session
from rainbow.terminal.options import observer_options, server_options
from rainbow.terminal.output import complain
from rainbow.terminal.slurm_jobs import (
    jobs_of,
    listed,
    of_caller,
    own_name,
    selected,
    selecting_options,
    selection,
    shown_ref,
)

EPILOG = """\b
Examples:
  rainbow squeue --me
  rainbow squeue -h -j 12,3000000003 -o '%i %t'
  rainbow squeue -t all -n train
"""
WAITING_OR_RUNNING = frozenset({"PENDING", "RUNNING", "COMPLETING"})


@click.command("squeue", epilog=EPILOG)
@server_options
@observer_options
@click.option("-j", "--jobs", "--job", "jobs", multiple=True, metavar="ID,...", help="Jobs, arrays and their tasks.")
@selecting_options(name="-n", partition="-p")
@click.option("-t", "--states", "--state", "states", multiple=True, metavar="STATE,...", help="States, or all.")
@click.option("-h", "--noheader", "no_header", is_flag=True, help="Leave out the line with the names of columns.")
@click.option("-o", "--format", "format_", metavar="TEXT", help="Columns by codes such as '%i %t'.")
@click.option("-l", "--long", "long_", is_flag=True, help="More columns.")
@click.option("-r", "--array", "each_task", is_flag=True, help="A line for each task of an array that waits, too.")
@click.option("--only-job-state", is_flag=True, expose_value=False, help="As ever: -o says what is told.")
@click.option("-a", "--all", is_flag=True, expose_value=False, help="All partitions, as it is always.")
@click.pass_context
def command(
    ctx: click.Context,
    jobs: Sequence[str],
    users: Sequence[str],
    me: bool,
    names: Sequence[str],
    partitions: Sequence[str],
    accounts: Sequence[str],
    states: Sequence[str],
    no_header: bool,
    format_: str | None,
    long_: bool,
    each_task: bool,
    as_cluster: bool,
) -> None:
    """List waiting and running jobs, as Slurm's squeue does."""
    text = format_ or (LONG if long_ else USUAL)
    check_format(text)
    refs = [ref for part in jobs for ref in job_refs(part)]
    wanted = states_in(states) if states else WAITING_OR_RUNNING
    chosen = selection(users=users, me=me, names=names, partitions=partitions, accounts=accounts, states=wanted)
    with session.observer(ctx, as_cluster=as_cluster) as client:
        chosen = of_caller(client, chosen)
        found = _found(client, refs, chosen) if refs else selected(client, chosen)
        view = View(now=datetime.now(UTC), user=own_name())
        shown = listed(client, found, each_task=each_task)
        for line in lines(text, shown, view=view, header=not no_header):
            click.echo(line)


def _found(client: Client, refs: Sequence[JobRef], chosen: Selection) -> list[Job]:
    """As squeue does, it fails where no id is known, and tells those that are not."""
    jobs, missing = jobs_of(client, refs)
    if missing and not jobs:
        raise InvalidArgument(f"Invalid job id specified: {', '.join(map(shown_ref, missing))}")
    for ref in missing:
        complain(f"Invalid job id specified: {shown_ref(ref)}")
    return [job for job in jobs if chosen.fits(job)]
