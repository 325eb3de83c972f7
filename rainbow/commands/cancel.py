from collections.abc import Sequence

import click

from rainbow.errors import NO_SUCH_JOB
from rainbow.records import CancelOutcome, CancelResult, JobGroup
from rainbow.terminal import session
from rainbow.terminal.formatting import count
from rainbow.terminal.groups import over, whole
from rainbow.terminal.in_doubt import in_doubt
from rainbow.terminal.options import json_option, observer_options, server_options
from rainbow.terminal.output import complain, say, write_json
from rainbow.terminal.types import MAX_INT32, Whole
from rainbow.text import on_one_line

EPILOG = """\b
Examples:
  rainbow cancel 7 8 9
  rainbow cancel --group 12
  rainbow cancel 7 --reason 'wrong input file'

Exits with 4 when a job was not found, and with 5 when one cannot be stopped any more.
"""
LOST = "The jobs may be stopped all the same. The same command again says what became of them."
DONE = (CancelOutcome.CANCELLED, CancelOutcome.REQUESTED)
WORDS = {
    CancelOutcome.UNSPECIFIED: "the server's answer is not understood",
    CancelOutcome.CANCELLED: "cancelled",
    CancelOutcome.REQUESTED: "will be stopped by its cluster",
    CancelOutcome.ALREADY_FINAL: "is over already",
    CancelOutcome.NOT_FOUND: NO_SUCH_JOB,
    CancelOutcome.OUT_OF_REACH: "was taken by its cluster for good and cannot be stopped from here",
}


@click.command("cancel", epilog=EPILOG)
@server_options
@observer_options
@click.option("--reason", default="", metavar="TEXT", help="Why; others read it in the job's events.")
@json_option
@click.option("--group", type=Whole(1, MAX_INT32), help="All jobs of this group, in place of IDs.")
@click.argument("jobids", metavar="[ID...]", nargs=-1, type=Whole(1, MAX_INT32))
@click.pass_context
def command(
    ctx: click.Context, jobids: Sequence[int], group: int | None, reason: str, as_cluster: bool, as_json: bool
) -> None:
    """Stop jobs: a waiting one at once, one that a cluster holds when its agent reports next, within 15 seconds."""
    if bool(jobids) == (group is not None):
        raise click.UsageError("Give either the ids of jobs or --group.")
    if group is not None:
        with session.observer(ctx, as_cluster=as_cluster) as client, in_doubt(LOST):
            stopped = client.cancel_group(group, reason=reason)
        _tell_of_group(stopped, as_json=as_json)
        return
    with session.observer(ctx, as_cluster=as_cluster) as client, in_doubt(LOST):
        results = client.cancel_jobs(jobids, reason=reason)
    if as_json:
        write_json({"results": results})
    else:
        _tell(results)
    ctx.exit(_exit_code(results))


def _tell_of_group(group: JobGroup, *, as_json: bool) -> None:
    if as_json:
        write_json(whole(group))
        return
    left = group.members - over(group)
    say(f"Group {group.id}: {count(left, 'job')} will be cancelled; `rainbow group {group.id}` shows how far that is.")


def _tell(results: Sequence[CancelResult]) -> None:
    for result in results:
        tell = say if result.outcome in DONE else complain
        tell(on_one_line(f"Job {result.jobid}: {result.message or WORDS[result.outcome]}"))


def _exit_code(results: Sequence[CancelResult]) -> int:
    outcomes = {result.outcome for result in results}
    if CancelOutcome.NOT_FOUND in outcomes:
        return 4
    return 0 if outcomes.issubset(DONE) else 5
