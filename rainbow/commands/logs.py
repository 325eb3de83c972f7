import click

from rainbow.errors import NO_SUCH_JOB, NotFound
from rainbow.terminal import documents, session
from rainbow.terminal.options import json_option, observer_options, server_options
from rainbow.terminal.output import complain, write_json, write_output_of
from rainbow.terminal.types import MAX_INT32, Whole

EPILOG = """\b
Examples:
  rainbow logs 7
"""


@click.command("logs", epilog=EPILOG)
@server_options
@observer_options
@json_option
@click.argument("jobid", metavar="ID", type=Whole(1, MAX_INT32))
@click.pass_context
def command(ctx: click.Context, jobid: int, as_cluster: bool, as_json: bool) -> None:
    """Print the end of what a job wrote, up to 64 KiB. Of a job that runs it is up to 15 seconds old."""
    with session.observer(ctx, as_cluster=as_cluster) as client:
        found = client.get_jobs([jobid])
    if not found.jobs:
        raise NotFound(f"{NO_SUCH_JOB}: {jobid}")
    job = found.jobs[0]
    if as_json:
        write_json({name: documents.whole(job)[name] for name in ("id", "state", "output", "output_is_cut")})
    elif job.output:
        write_output_of(job)
    else:
        complain(f"Job {jobid} is {job.state}; nothing is known of its output.")
