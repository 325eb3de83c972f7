import errno
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click

from rainbow.client import Client
from rainbow.errors import NO_SUCH_JOB, FailedPrecondition, NotFound, why
from rainbow.records import Job, JobState
from rainbow.terminal import session
from rainbow.terminal.completion import groups
from rainbow.terminal.group_files import GroupFiles
from rainbow.terminal.group_output import members_of
from rainbow.terminal.job_files import fetch, files_meant, has_folder
from rainbow.terminal.options import json_option, observer_options, server_options, state_option
from rainbow.terminal.output import say, write_json
from rainbow.terminal.slurm_jobs import jobids_of
from rainbow.terminal.types import GroupId, JobIds

EPILOG = """\b
Examples:
  rainbow fetch 7
  rainbow fetch 7 'results/*.csv' --to run7
  rainbow fetch 7 --list
  rainbow fetch --group 12 'results/*.csv' --to sweep
"""


@click.command("fetch", epilog=EPILOG)
@server_options
@observer_options
@click.option("--to", default=".", metavar="FOLDER", help="Where to write them.  [default: here]")
@click.option("--force", is_flag=True, help="Replace files that are there.")
@click.option("--list", "only_list", is_flag=True, help="Only show their names and sizes.")
@click.option(
    "--group",
    type=GroupId(),
    shell_complete=groups,
    help="Those of all members of this group, in place of ID, each member's in a folder of its own.",
)
@state_option("Of --group, only those in this state; repeatable.")
@json_option
@click.argument("words", metavar="[ID] [PATTERN...]", nargs=-1)
@click.pass_context
def command(
    ctx: click.Context,
    /,
    words: tuple[str, ...],
    group: int | None,
    states: Sequence[str],
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
    if group is not None:
        with session.observer(ctx, as_cluster=as_cluster) as client, _files_named():
            members = members_of(client, group, [JobState(state) for state in states])
            files = GroupFiles(client, patterns=words, to=Path(to), force=force)
            ctx.exit(files.fetch(members, only_list=only_list, as_json=as_json))
    if states:
        raise click.UsageError("--state is of --group.")
    if not words:
        raise click.UsageError("Give either the id of a job or --group.")
    ref = JobIds(one=True).convert(words[0], None, ctx)
    with session.observer(ctx, as_cluster=as_cluster) as client, _files_named():
        (jobid,) = jobids_of(client, [ref])
        _fetch(client, jobid, words[1:], to=Path(to), force=force, only_list=only_list, as_json=as_json)


@contextmanager
def _files_named() -> Iterator[None]:
    """A file that cannot be written is no failure of the command as a full disk is."""
    try:
        yield
    except OSError as error:
        if error.filename is None or error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise FailedPrecondition(f"{error.filename}: {why(error)}") from error


def _fetch(
    client: Client, jobid: int, patterns: Sequence[str], *, to: Path, force: bool, only_list: bool, as_json: bool
) -> None:
    found = client.get_jobs([jobid]).jobs
    if not found:
        raise NotFound(f"{NO_SUCH_JOB}: {jobid}")
    files = files_meant(client, found[0], patterns)
    if not files:
        raise NotFound(_nothing_found(found[0]))
    for file in files if not only_list else ():
        fetch(client, found[0], file, to=to, force=force)
    if as_json:
        write_json({"id": jobid, "files": [{"name": file.name, "size": file.size} for file in files]})
    elif only_list:
        for file in files:
            say(f"{file.size:>14,}  {file.name}")


def _nothing_found(job: Job) -> str:
    if has_folder(job):
        return f"job {job.id} has no such files"
    return f"job {job.id} has no files: those have some that were submitted with --input, --input-url or --output-files"
