from pathlib import Path

import click

from rainbow.errors import NO_SUCH_JOB, NotFound
from rainbow.records import Job
from rainbow.slurm_commands.job_ids import JobRef
from rainbow.terminal import session
from rainbow.terminal.fetched_files import chosen, save
from rainbow.terminal.options import json_option, observer_options, server_options
from rainbow.terminal.output import complain, say, write_json
from rainbow.terminal.slurm_jobs import jobids_of
from rainbow.terminal.types import JobIds

MOST_LISTED = 10_000
EPILOG = """\b
Examples:
  rainbow fetch 7
  rainbow fetch 7 'results/*.csv' --to run7
  rainbow fetch 7 --list
"""


@click.command("fetch", epilog=EPILOG)
@server_options
@observer_options
@click.option("--to", default=".", metavar="FOLDER", help="Where to write them.  [default: here]")
@click.option("--force", is_flag=True, help="Replace files that are there.")
@click.option("--list", "only_list", is_flag=True, help="Only show their names and sizes.")
@json_option
@click.argument("ref", metavar="ID", type=JobIds(one=True))
@click.argument("patterns", metavar="[PATTERN...]", nargs=-1)
@click.pass_context
def command(
    ctx: click.Context,
    /,
    ref: JobRef,
    patterns: tuple[str, ...],
    to: str,
    force: bool,
    only_list: bool,
    as_cluster: bool,
    as_json: bool,
) -> None:
    """Fetch files that a job wrote, from its site.

    Without a pattern it fetches those of `submit --output-files`, or else all of the job's folder of files. A pattern
    means the files that fit, and what is below a folder that fits; `*` stands for characters of one part of a path.
    """
    with session.observer(ctx, as_cluster=as_cluster) as client:
        (jobid,) = jobids_of(client, [ref])
        found = client.get_jobs([jobid]).jobs
        if not found:
            raise NotFound(f"{NO_SUCH_JOB}: {jobid}")
        listed = client.list_files(jobid)
        if len(listed) == MOST_LISTED:
            complain(f"Only the first {MOST_LISTED:,} files of the job are known.")
        files = chosen(listed, patterns or found[0].outputs)
        if not files:
            raise NotFound(_nothing_found(found[0]))
        for file in files if not only_list else ():
            save(client.read_file(jobid, file.name), file.name, size=file.size, to=Path(to), force=force)
            complain(f"{file.size:>14,}  {Path(to) / file.name}")
        if as_json:
            write_json({"id": jobid, "files": [{"name": file.name, "size": file.size} for file in files]})
        elif only_list:
            for file in files:
                say(f"{file.size:>14,}  {file.name}")


def _nothing_found(job: Job) -> str:
    if job.inputs or job.outputs:
        return f"job {job.id} has no such files"
    return f"job {job.id} has no files: those have some that were submitted with --input or --output-files"
