from collections.abc import Mapping, Sequence

import click

from rainbow.client import Client
from rainbow.errors import NO_SUCH_JOB
from rainbow.records import CancelOutcome, CancelResult, JobGroup
from rainbow.slurm_commands.job_ids import JobRef
from rainbow.states import JobState
from rainbow.terminal import cancelling, documents, session
from rainbow.terminal.completion import groups
from rainbow.terminal.formatting import count
from rainbow.terminal.groups import named, over, whole
from rainbow.terminal.in_doubt import in_doubt
from rainbow.terminal.options import json_option, label_option, observer_options, server_options
from rainbow.terminal.output import complain, say, write_json
from rainbow.terminal.slurm_jobs import jobids_of
from rainbow.terminal.types import GroupId, JobIds
from rainbow.text import on_one_line

EPILOG = """\b
Examples:
  rainbow cancel 7 8 9
  rainbow cancel 12_3 12_[5-8]
  rainbow cancel --group 12
  rainbow cancel 7 --reason 'wrong input file'
  rainbow cancel --label project=demo
  rainbow cancel --state queued --all --yes

Exits with 4 when a job was not found, and with 5 when one cannot be stopped any more, or the answer was no.
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
WORDS_OF_MANY = {
    **WORDS,
    CancelOutcome.REQUESTED: "will be stopped by their clusters",
    CancelOutcome.ALREADY_FINAL: "are over already",
}


@click.command("cancel", epilog=EPILOG)
@server_options
@observer_options
@click.option("--reason", default="", metavar="TEXT", help="Why; others read it in the job's events.")
@json_option
@click.option("--group", type=GroupId(), shell_complete=groups, help="All jobs of this group, in place of IDs.")
@label_option("All jobs with this label that are not over, in place of IDs; repeatable.")
@click.option(
    "--state",
    "states",
    type=click.Choice([state.value for state in cancelling.STOPPABLE]),
    multiple=True,
    help="With --label or --all: only jobs in this state; repeatable.",
)
@click.option("--all", "everything", is_flag=True, help="All jobs that the credential reaches and that are not over.")
@click.option("-y", "--yes", is_flag=True, help="Ask nothing, with --label and --all.")
@click.argument("refs", metavar="[ID...]", nargs=-1, type=JobIds())
@click.pass_context
def command(
    ctx: click.Context,
    refs: Sequence[JobRef],
    group: int | None,
    labels: Mapping[str, str],
    states: Sequence[str],
    everything: bool,
    yes: bool,
    reason: str,
    as_cluster: bool,
    as_json: bool,
) -> None:
    """Stop jobs: a waiting one at once, one that a cluster holds when its agent reports next, within 15 seconds."""
    selecting = bool(labels or everything)
    _check(selecting=selecting, states=states, named=bool(refs) + (group is not None))
    with session.observer(ctx, as_cluster=as_cluster) as client:
        if selecting:
            wanted = cancelling.chosen(client, states=[JobState(state) for state in states], labels=labels)
            ctx.exit(_cancel_chosen(client, wanted, reason=reason, yes=yes, as_json=as_json))
        with in_doubt(LOST):
            if group is not None:
                with named(group):
                    cancelled = client.cancel_group(group, reason=reason)
                _tell_of_group(cancelled, as_json=as_json)
                return
            results = client.cancel_jobs(jobids_of(client, refs), reason=reason)
    if as_json:
        write_json({"results": documents.about_jobs(results)})
    else:
        _tell(results)
    ctx.exit(_exit_code(results))


def _check(*, selecting: bool, states: Sequence[str], named: int) -> None:
    if named + selecting != 1:
        if states and not named:
            raise click.UsageError("--state alone does not say which jobs; add --label or --all.")
        raise click.UsageError("Give either the ids of jobs or --group, or --label or --all.")
    if states and not selecting:
        raise click.UsageError("--state goes with --label and --all.")


def _cancel_chosen(client: Client, wanted: cancelling.Chosen, *, reason: str, yes: bool, as_json: bool) -> int:
    if wanted.jobids and not yes and not cancelling.agreed(f"Cancel {wanted}?"):
        complain("Nothing was cancelled.")
        return 5
    with in_doubt(LOST):
        results = list(cancelling.cancelled(client, wanted.jobids, reason=reason))
    if as_json:
        write_json({"results": documents.about_jobs(results)})
    elif results:
        cancelling.tell(results, words=WORDS, of_many=WORDS_OF_MANY)
    else:
        say("No jobs.")
    return 0 if all(map(cancelling.is_done, results)) else 5


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
