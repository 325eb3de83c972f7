from collections.abc import Iterator, Sequence
from typing import Any

import click

from rainbow.client import Client
from rainbow.errors import NO_SUCH_JOB, FailedPrecondition, NotFound, RainbowError, Unimplemented
from rainbow.records import Job, JobState
from rainbow.slurm_commands.job_ids import JobRef
from rainbow.terminal import documents, session
from rainbow.terminal.completion import groups
from rainbow.terminal.following import follow, step_of
from rainbow.terminal.group_output import WAITING, GroupOutput, members_of
from rainbow.terminal.live_output import LiveOutput, Output, never_started
from rainbow.terminal.options import json_option, observer_options, server_options, state_option
from rainbow.terminal.output import complain, write_json, write_json_line, write_output_of
from rainbow.terminal.slurm_jobs import jobids_of
from rainbow.terminal.types import GroupId, JobIds, Whole
from rainbow.terminal.why_waiting import WhyWaiting
from rainbow.text import on_one_line

EPILOG = """\b
Examples:
  rainbow logs 7
  rainbow logs 7 --follow
  rainbow logs 12_3
  rainbow logs 7 --stderr
  rainbow logs 7 --from 1048576 >> output
  rainbow logs --group 12
  rainbow logs --group 12 --state failed --stderr
"""
MAX_BYTE = 2**62


@click.command("logs", epilog=EPILOG)
@server_options
@observer_options
@click.option("-f", "--follow", is_flag=True, help="Go on until the job is over.")
@click.option("--stderr", is_flag=True, help="Standard error alone, on standard output.")
@click.option(
    "--from", "from_byte", type=Whole(0, MAX_BYTE), metavar="BYTE", help="Begin there; without --stderr, of the output."
)
@click.option("--tail", is_flag=True, help="The end of it that the server has on record, up to 64 KiB.")
@click.option(
    "--group",
    type=GroupId(),
    shell_complete=groups,
    help="All members of this group, one after the other, in place of ID.",
)
@state_option("Of --group, only those in this state; repeatable.")
@json_option
@click.argument("ref", metavar="[ID]", required=False, type=JobIds(one=True))
@click.pass_context
def command(
    ctx: click.Context,
    /,
    ref: JobRef | None,
    group: int | None,
    states: Sequence[str],
    as_cluster: bool,
    as_json: bool,
    tail: bool,
    **wanted: Any,
) -> None:
    """Print what a job wrote, all of it, from its site: its errors on standard error.

    Where the site cannot be asked, it is the end that the server has on record, up to 64 KiB, of a job that runs up to
    15 seconds old; so it is with --json. With --group each line has the member's index before it; with --json each
    member is a document on a line.
    """
    if (ref is None) == (group is None):
        raise click.UsageError("Give either the id of a job or --group.")
    if (tail or as_json) and any(value is not None and value is not False for value in wanted.values()):
        raise click.UsageError("--tail and --json show what is on record; leave out the options of the stream.")
    if group is None and states:
        raise click.UsageError("--state is of --group.")
    if group is not None and (wanted["follow"] or wanted["from_byte"] is not None):
        raise click.UsageError("--follow and --from are of one job; leave out --group.")
    with session.observer(ctx, as_cluster=as_cluster) as client:
        if group is not None:
            members = members_of(client, group, [JobState(state) for state in states])
            _show_members(client, members, stderr=wanted["stderr"], tail=tail, as_json=as_json)
        elif ref is not None:
            (jobid,) = jobids_of(client, [ref])
            _show(client, jobid, tail=tail, as_json=as_json, **wanted)


def _show_members(client: Client, members: Iterator[Job], *, stderr: bool, tail: bool, as_json: bool) -> None:
    if as_json:
        for job in members:
            write_json_line(_document(job, "id", "array_index", "state", "output", "output_is_cut"))
    else:
        GroupOutput(client, stderr=stderr, tail=tail).print(members)


def _show(client: Client, jobid: int, *, tail: bool, as_json: bool, **wanted: Any) -> None:
    job = _job(client, jobid)
    if as_json:
        write_json(_document(job, "id", "state", "output", "output_is_cut"))
    elif tail or not _stream(client, job, **wanted):
        _show_tail(_job(client, jobid) if wanted["follow"] else job)


def _job(client: Client, jobid: int) -> Job:
    found = client.get_jobs([jobid]).jobs
    if not found:
        raise NotFound(f"{NO_SUCH_JOB}: {jobid}")
    return found[0]


def _document(job: Job, *names: str) -> dict[str, Any]:
    said = documents.whole(job)
    return {name: said[name] for name in names}


def _stream(client: Client, job: Job, *, follow: bool, stderr: bool, from_byte: int | None) -> bool:
    """Whether anything could be read at the site. An error in the middle is raised."""
    only = Output.ERRORS if stderr else None if from_byte is None else Output.OUTPUT
    live = LiveOutput(client, job.id, follow=follow, only=only, from_byte=from_byte or 0)
    if follow:
        job = _followed(client, job.id, live)
    elif job.agent:
        live.begin(job.attempt)
    live.join()
    if error := live.failure:
        if not live.is_missing or not isinstance(error, FailedPrecondition | Unimplemented):
            live.tell_what_is_missing()
            raise error
        _tell_why_not(job, error)
    return not live.is_missing


def _followed(client: Client, jobid: int, live: LiveOutput) -> Job:
    """The job's end, after each attempt was printed; while it waits, standard error says so."""

    def show(job: Job) -> None:
        if job.state in WAITING:
            complain(step_of(job))
        waiting.note(job)
        live.note(job)

    try:
        with WhyWaiting(client) as waiting:
            return follow(client.watch_jobs([jobid]), show)[jobid]
    except RainbowError:
        live.raise_if_unwritten()
        raise


def _tell_why_not(job: Job, error: RainbowError) -> None:
    if not never_started(job):
        complain(on_one_line(f"Only the end of the output is known: {error}."))


def _show_tail(job: Job) -> None:
    if job.output:
        write_output_of(job)
    elif never_started(job):
        why = f": {job.reason}" if job.reason else ""
        complain(on_one_line(f"Job {job.id} never started; it {_became(job)}{why}."))
    else:
        complain(f"Job {job.id} {_became(job)}; nothing is known of its output.")


def _became(job: Job) -> str:
    return job.state.value if job.state is JobState.FAILED else f"is {job.state}"
