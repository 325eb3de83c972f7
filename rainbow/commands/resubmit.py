import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import uuid4

import click

from rainbow.client import Client
from rainbow.commands.submit import command as submit
from rainbow.errors import NotFound
from rainbow.records import JobState, Resubmissions
from rainbow.slurm_commands.job_ids import JobRef
from rainbow.terminal import documents, session
from rainbow.terminal.changes import changes_from
from rainbow.terminal.completion import groups, project_names
from rainbow.terminal.groups import named
from rainbow.terminal.in_doubt import in_doubt
from rainbow.terminal.options import json_option, server_options, token_options
from rainbow.terminal.output import complain, plain, say, write_json
from rainbow.terminal.resubmitting import repeated, submitted_signed
from rainbow.terminal.signing import signing_options, start_signing
from rainbow.terminal.slurm_jobs import jobids_of, with_tasks_by_id
from rainbow.terminal.types import GroupId, JobIds
from rainbow.text import on_one_line

EPILOG = """\b
Examples:
  rainbow resubmit 7
  rainbow resubmit 7 8 --change time-limit=2h --change memory=64G
  rainbow resubmit --failed-of 3 --change time-limit=2h
  rainbow resubmit 7 --sign

The new jobs ask for what the old ones did, and name them. A change is an option of `rainbow submit`, without its
hyphens: NAME=VALUE, or NAME alone for one that takes no value; one that may be repeated replaces all of its values.
The new jobs are in no group, also those of members of one. --failed-of leaves out members that were submitted again
where the newest job in their place completed or is not over; it exits with 4 where none is left.
Exits with 4 when a job was not found, and with 5 when one was refused.
"""
AT_ONCE = 1_000
LOST = "The jobs may be queued all the same. The same command again with --key {key} queues none twice."


@click.command("resubmit", epilog=EPILOG)
@server_options
@token_options
@click.option("--change", "changes", multiple=True, metavar="NAME[=VALUE]", help="What is otherwise; repeatable.")
@click.option(
    "--failed-of",
    type=GroupId(),
    shell_complete=groups,
    metavar="GROUP",
    help="All members of a group that failed, but for those whose repetition completed or is not over.",
)
@click.option(
    "--project",
    default="",
    metavar="NAME",
    shell_complete=project_names,
    help="Your project.  [default: that of the old job]",
)
@click.option("--key", metavar="TEXT", help="Submitting again under the same key makes no second job.")
@signing_options
@json_option
@click.argument("refs", metavar="[ID...]", nargs=-1, type=JobIds())
@click.pass_context
def command(
    ctx: click.Context,
    refs: Sequence[JobRef],
    failed_of: int | None,
    changes: Sequence[str],
    project: str,
    key: str | None,
    as_json: bool,
) -> None:
    """Queue jobs again, as new ones, with what the old ones asked for."""
    if bool(refs) == bool(failed_of):
        raise click.UsageError("Give either the ids of jobs or --failed-of with that of a group.")
    changed = {**changes_from(changes, submit=submit), **({"project": project} if project else {})}
    key = key or uuid4().hex
    with session.submitter(ctx) as client, in_doubt(LOST.format(key=shlex.quote(key))):
        start_signing(ctx, client)
        if "after" in changed:
            changed["after"] = tuple(with_tasks_by_id(client, changed["after"]))
        distinct = _failed(client, failed_of) if failed_of else list(dict.fromkeys(jobids_of(client, refs)))
        results = _resubmitted(client, distinct, changed, key)
    if as_json:
        write_json({**plain(results), "results": documents.about_jobs(results.results)})
    else:
        _tell(distinct, results, cluster=client.cluster)
    ctx.exit(_exit_code(results))


def _failed(client: Client, group: int) -> list[int]:
    """Raises NotFound where there is no such group, none failed, or none is still to be submitted again."""
    failed = [job.id for job in client.list_jobs(states=[JobState.FAILED], group=group, page_size=AT_ONCE)]
    if not failed:
        with named(group):
            client.get_group(group)
        raise NotFound(f"no job of group {group} failed")
    left_out = repeated(client, failed)
    if left_out:
        complain(f"Left out, as the jobs in their place completed or are not over: {' '.join(map(str, left_out))}.")
    if len(left_out) == len(failed):
        raise NotFound(f"no job of group {group} failed that is still to be submitted again")
    return sorted(set(failed).difference(left_out))


def _resubmitted(client: Client, jobids: Sequence[int], changes: Mapping[str, Any], key: str) -> Resubmissions:
    """In parts of as many as a call takes, each under its own key."""
    calls = [
        _part(client, jobids[start : start + AT_ONCE], changes, f"{key}/{start}" if start else key)
        for start in range(0, len(jobids), AT_ONCE)
    ]
    return replace(
        calls[-1],
        results=tuple(result for call in calls for result in call.results),
        signed_before=tuple(jobid for call in calls for jobid in call.signed_before),
    )


def _part(client: Client, jobids: Sequence[int], changes: Mapping[str, Any], key: str) -> Resubmissions:
    """A job that is to be signed is put together here: the server has no key."""
    if client.signer:
        return submitted_signed(client, jobids, changes=changes, key=key)
    return client.resubmit_jobs(jobids, changes=changes, key=key)


def _tell(jobids: Sequence[int], results: Resubmissions, *, cluster: str) -> None:
    for jobid, result in zip(jobids, results.results, strict=True):
        if result.error:
            complain(on_one_line(f"Job {jobid}: {result.error}"))
        else:
            before = ", before and under this key" if result.duplicate else ""
            say(f"Job {jobid} was submitted again to {cluster}{before}, as job {result.jobid}.")
    if results.signed_before:
        ids = " ".join(map(str, results.signed_before))
        complain(f"Not signed, though the old jobs were: {ids}. A signature is for one job; --sign signs the new ones.")
    if results.warning:
        complain(on_one_line(f"Warning: {results.warning}"))


def _exit_code(results: Resubmissions) -> int:
    codes = {result.error.code for result in results.results if result.error}
    if "NOT_FOUND" in codes:
        return 4
    return 5 if codes else 0
