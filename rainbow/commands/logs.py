from typing import Any

import click

from rainbow.client import Client
from rainbow.errors import NO_SUCH_JOB, FailedPrecondition, NotFound, Unimplemented
from rainbow.records import Job
from rainbow.terminal import documents, session
from rainbow.terminal.live_output import LiveOutput, write_parts
from rainbow.terminal.options import json_option, observer_options, server_options
from rainbow.terminal.output import complain, write_json, write_output_of
from rainbow.terminal.types import MAX_INT32, Whole
from rainbow.text import on_one_line

EPILOG = """\b
Examples:
  rainbow logs 7
  rainbow logs 7 --follow
  rainbow logs 7 --stderr
  rainbow logs 7 --from 1048576 >> output
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
@json_option
@click.argument("jobid", metavar="ID", type=Whole(1, MAX_INT32))
@click.pass_context
def command(ctx: click.Context, /, jobid: int, as_cluster: bool, as_json: bool, tail: bool, **wanted: Any) -> None:
    """Print what a job wrote, all of it, from its site: its errors on standard error.

    Where the site cannot be asked, it is the end that the server has on record, up to 64 KiB, of a job that runs up to
    15 seconds old; so it is with --json.
    """
    if (tail or as_json) and any(value not in (None, False) for value in wanted.values()):
        raise click.UsageError("--tail and --json show what is on record; leave out the options of the stream.")
    with session.observer(ctx, as_cluster=as_cluster) as client:
        found = client.get_jobs([jobid])
        if not found.jobs:
            raise NotFound(f"{NO_SUCH_JOB}: {jobid}")
        job = found.jobs[0]
        if as_json:
            write_json({name: documents.whole(job)[name] for name in ("id", "state", "output", "output_is_cut")})
        elif tail or not _stream(client, job, **wanted):
            _show_tail(job)


def _stream(client: Client, job: Job, *, follow: bool, stderr: bool, from_byte: int | None) -> bool:
    """Whether anything could be read at the site. An error in the middle is raised."""
    if not job.agent:
        return False
    if not stderr and from_byte is None:
        return _stream_both(client, job, follow=follow)
    parts = client.read_output(job.id, stderr=stderr, from_byte=from_byte or 0, follow=follow)
    try:
        write_parts(parts)
    except (FailedPrecondition, Unimplemented) as error:
        complain(on_one_line(f"Only the end of the output is known: {error}."))
        return False
    return True


def _stream_both(client: Client, job: Job, *, follow: bool) -> bool:
    live = LiveOutput(client, job.id, follow=follow)
    live.begin(job.attempt)
    live.join()
    if error := live.failure:
        if not live.is_missing or not isinstance(error, FailedPrecondition | Unimplemented):
            live.tell_what_is_missing()
            raise error
        complain(on_one_line(f"Only the end of the output is known: {error}."))
    return not live.is_missing


def _show_tail(job: Job) -> None:
    if job.output:
        write_output_of(job)
    else:
        complain(f"Job {job.id} is {job.state}; nothing is known of its output.")
