from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice

import click

from rainbow.client import Client
from rainbow.records import Job, JobState
from rainbow.terminal import documents, session
from rainbow.terminal.formatting import ago
from rainbow.terminal.options import json_option, label_option, observer_options, server_options
from rainbow.terminal.output import complain, say, write_json
from rainbow.terminal.tables import show_table
from rainbow.terminal.types import MAX_INT32, Whole

EPILOG = """\b
Examples:
  rainbow jobs --state queued --state running
  rainbow jobs --label project=demo --all --json
  rainbow jobs --group 12 --state failed
"""
COLUMNS = ("ID", "STATE", "CLUSTER", "NAME", "NODES", "SUBMITTED", "COMMAND")
STATES = [state.value for state in JobState if state != JobState.UNSPECIFIED]
USUAL_LIMIT = 20
LARGEST_PAGE = 1000


@click.command("jobs", epilog=EPILOG)
@server_options
@observer_options
@click.option(
    "--state", "states", type=click.Choice(STATES), multiple=True, help="Only jobs in this state; repeatable."
)
@label_option("Only jobs with this label; repeatable.")
@click.option("--job-name", "name", default="", metavar="NAME", help="Only jobs of exactly this name.")
@click.option("--group", type=Whole(1, MAX_INT32), help="Only the members of this group.")
@click.option("--limit", type=Whole(min=1), help="How many jobs to list.  [default: 20]")
@click.option("--all", "everything", is_flag=True, help="List them all.")
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    as_cluster: bool,
    states: Sequence[str],
    labels: Mapping[str, str],
    name: str,
    group: int | None,
    limit: int | None,
    everything: bool,
    as_json: bool,
) -> None:
    """List jobs, newest first.

    A token lists the jobs that were submitted with it, the cluster's secret all jobs of the cluster.
    """
    if everything and limit is not None:
        raise click.UsageError("Give either --limit or --all.")
    most = None if everything else limit or USUAL_LIMIT
    chosen = [JobState(state) for state in states]
    with session.observer(ctx, as_cluster=as_cluster) as client:
        jobs, more = _listed(client, most=most, states=chosen, labels=labels, name=name, group=group or 0)
    if as_json:
        write_json({"jobs": [documents.listed(job) for job in jobs], "more": more})
    else:
        _tell(jobs, more=more, now=datetime.now(UTC))


def _listed(
    client: Client, *, most: int | None, states: Sequence[JobState], labels: Mapping[str, str], name: str, group: int
) -> tuple[list[Job], bool]:
    asked = None if most is None else most + 1
    page_size = LARGEST_PAGE if asked is None else min(asked, LARGEST_PAGE)
    listed = client.list_jobs(states=states, labels=labels, name=name, group=group, page_size=page_size)
    jobs = list(islice(listed, asked))
    return jobs[:most], most is not None and len(jobs) > most


def _tell(jobs: Sequence[Job], *, more: bool, now: datetime) -> None:
    if not jobs:
        say("No jobs.")
        return
    # Of a token of a pool, and of one whose jobs were moved.
    apart = len({job.cluster for job in jobs}) > 1
    columns = [name for name in COLUMNS if apart or name != "CLUSTER"]
    show_table(columns, [[_row(job, now=now)[name] for name in columns] for job in jobs])
    if more:
        complain("There are more; --all or a larger --limit lists them.")


def _row(job: Job, *, now: datetime) -> dict[str, str]:
    submitted = ago(job.submitted_at, now=now) if job.submitted_at else "-"
    cells = (str(job.id), job.state.value, job.cluster, job.name, str(job.nodes), submitted, job.command)
    return dict(zip(COLUMNS, cells, strict=True))
