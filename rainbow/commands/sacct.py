from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, time

import click

from rainbow.client import Client
from rainbow.records import Job
from rainbow.slurm_commands.job_ids import JobRef, job_refs
from rainbow.slurm_commands.job_states import states_in
from rainbow.slurm_commands.job_view import View
from rainbow.slurm_commands.sacct_format import BRIEF, FIELDS, USUAL, columns, parsable, table
from rainbow.slurm_commands.sacct_times import time_in
from rainbow.slurm_commands.selection import Selection
from rainbow.terminal import session
from rainbow.terminal.options import observer_options, server_options
from rainbow.terminal.output import say
from rainbow.terminal.slurm_jobs import jobs_of, listed, of_caller, own_name, selected, selecting_options, selection

EPILOG = """\b
Examples:
  rainbow sacct -j 12
  rainbow sacct -X -n -P -j 3000000003 --format JobID,State,ExitCode
  rainbow sacct -S now-2days --name train
"""
FOR_PROGRAMS = "|"


@click.command("sacct", epilog=EPILOG)
@server_options
@observer_options
@click.option("-j", "--jobs", "--job", "jobs", multiple=True, metavar="ID,...", help="Jobs, arrays and their tasks.")
@selecting_options(name="--name", partition="-r")
@click.option("-s", "--state", "--states", "states", multiple=True, metavar="STATE,...", help="States.")
@click.option("-S", "--starttime", "since", metavar="TIME", help="Not over before then.  [default: today, 00:00]")
@click.option("-E", "--endtime", "until", metavar="TIME", help="Submitted before then.  [default: now]")
@click.option("-o", "--format", "format_", metavar="FIELD,...", help="Fields, with %WIDTH behind where it matters.")
@click.option("-b", "--brief", is_flag=True, help=f"The fields {BRIEF}.")
@click.option("-e", "--helpformat", is_flag=True, help="List the fields.")
@click.option("-n", "--noheader", "no_header", is_flag=True, help="Leave out the names of fields.")
@click.option("-P", "--parsable2", is_flag=True, help="Fields with | between.")
@click.option("-p", "--parsable", "parsable_", is_flag=True, help="The same, and one at the end.")
@click.option("--delimiter", default=FOR_PROGRAMS, metavar="TEXT", help="What stands in place of that |.")
@click.option("-X", "--allocations", is_flag=True, expose_value=False, help="No steps, as it is always.")
@click.option("--array", "each_task", is_flag=True, help="A line for each task of an array that waits, too.")
@click.option("-D", "--duplicates", is_flag=True, expose_value=False, help="The last attempt is told in any case.")
@click.option("-a", "--allusers", is_flag=True, expose_value=False, help="All that the credential reaches, as ever.")
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
    since: str | None,
    until: str | None,
    format_: str | None,
    brief: bool,
    helpformat: bool,
    no_header: bool,
    parsable2: bool,
    parsable_: bool,
    delimiter: str,
    each_task: bool,
    as_cluster: bool,
) -> None:
    """List jobs with how they ended, as Slurm's sacct does."""
    if helpformat:
        say(" ".join(field.title for field in FIELDS.values()))
        return
    chosen_columns = columns(format_ or (BRIEF if brief else USUAL))
    refs = [ref for part in jobs for ref in job_refs(part)]
    now = datetime.now().astimezone()
    chosen = selection(
        users=users, me=me, names=names, partitions=partitions, accounts=accounts, states=states_in(states)
    )
    first = time_in(since, now=now) if since else None if refs else datetime.combine(now.date(), time(), now.tzinfo)
    last = time_in(until, now=now) if until else None
    view = View(now=now, user=own_name())
    with session.observer(ctx, as_cluster=as_cluster) as client:
        found = [job for job in _found(client, refs, of_caller(client, chosen)) if _within(job, first, last)]
        found.sort(key=lambda job: job.id)
        shown = list(listed(client, found, each_task=each_task))
    header = not no_header
    if parsable2 or parsable_:
        told: Iterable[str] = parsable(
            chosen_columns, shown, view=view, header=header, between=delimiter, at_end=not parsable2
        )
    else:
        told = table(chosen_columns, shown, view=view, header=header)
    for line in told:
        click.echo(line)


def _found(client: Client, refs: Sequence[JobRef], chosen: Selection) -> Iterator[Job]:
    """An id that is unknown has no line, as with sacct."""
    if not refs:
        return selected(client, chosen)
    return (job for job in jobs_of(client, refs)[0] if chosen.fits(job))


def _within(job: Job, first: datetime | None, last: datetime | None) -> bool:
    over_before = first is not None and job.finished_at is not None and job.finished_at < first
    later = last is not None and job.submitted_at is not None and job.submitted_at > last
    return not over_before and not later
