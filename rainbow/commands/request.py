from collections.abc import Sequence
from typing import Any

import click

from rainbow import leases
from rainbow.records import Acceptance, AcceptedJob, WaitingJob, WaitingJobs
from rainbow.terminal import documents, session
from rainbow.terminal.formatting import count, span
from rainbow.terminal.in_doubt import in_doubt
from rainbow.terminal.options import json_option, label_option, secret_options, server_options
from rainbow.terminal.output import complain, say, write_json
from rainbow.terminal.tables import show_table
from rainbow.terminal.types import MAX_INT32, Span, Whole
from rainbow.text import on_one_line

EPILOG = """\b
Examples:
  rainbow request --max-jobs 10
  rainbow request --max-nodes 4 --wait 5m --accept 1
  rainbow request --accept 3 --agent login1 --lease 10m

Exits with 5 when a job that was to be accepted was not, and with 1 when the server sent one that breaks the protocol.
"""
COLUMNS = ("ID", "NAME", "NODES", "TASKS", "PRIORITY", "TIME LIMIT", "COMMAND")
LIMIT = Whole(0, MAX_INT32)
NUMBER = Whole(-MAX_INT32 - 1, MAX_INT32)
MOST_IDS = 20
NOTHING = Acceptance(complete=True, accepted=(), refused=())


@click.command("request", epilog=EPILOG)
@server_options
@secret_options
@click.option(
    "-j",
    "--max-jobs",
    type=Whole(-MAX_INT32 - 1, MAX_INT32),
    default=0,
    help="How many jobs at most.  [default: all that fit one answer]",
)
@click.option(
    "--accept",
    "--accept-jobs",
    "accept",
    type=LIMIT,
    default=0,
    metavar="N",
    help="Accept the first N of them.",
)
@click.option("--agent", default="", metavar="NAME", help="Who accepts; a lease runs, and repeating is safe.")
@click.option(
    "--lease",
    "lease_seconds",
    type=Span(lowest=leases.MIN_SECONDS, highest=leases.MAX_SECONDS),
    help="How long the agent may stay silent: 90, 10m, 2h.  [default: 5m]",
)
@click.option(
    "--wait",
    "wait_seconds",
    type=Span(lowest=0, highest=300),
    default=0,
    help="If nothing waits, wait this long for a job: 30, 5m.  [default: 0]",
)
@click.option("--max-nodes", type=LIMIT, default=0, help="Only jobs of at most this many nodes.  [default: any]")
@click.option("--max-tasks", type=LIMIT, default=0, help="Only jobs of at most this many tasks.  [default: any]")
@click.option("--max-cores", type=LIMIT, default=0, help="Only jobs of at most this many cores in all.  [default: any]")
@click.option(
    "--max-time-limit",
    "max_time_limit_seconds",
    type=Span(lowest=0, highest=MAX_INT32),
    default=0,
    help="Only jobs that may run at most this long, or have no limit: 2h.  [default: any]",
)
@label_option("Only jobs with this label; repeatable.")
@click.option(
    "--shared",
    is_flag=True,
    help="Also jobs of the cluster's pools, and those that say what earlier clients would not heed; to accept jobs of a"
    " pool needs --agent.",
)
@json_option
@click.pass_context
def command(
    ctx: click.Context, /, accept: int, agent: str, lease_seconds: int | None, as_json: bool, **wanted: Any
) -> None:
    """See which jobs wait for the cluster, and accept some.

    Seeing reserves nothing. An accepted job leaves the queue: from then on, running it is up to the caller.
    """
    if lease_seconds is not None and not agent:
        raise click.UsageError("--lease needs --agent.")
    with session.puller(ctx) as client:
        waiting = client.request_jobs(**wanted)
        chosen = [job.id for job in waiting.jobs[:accept]]
        with in_doubt(_where_to_look(chosen, agent=agent)):
            taken = client.accept_jobs(chosen, agent=agent, lease_seconds=lease_seconds or 0) if chosen else NOTHING
    if as_json:
        write_json(_document(waiting, taken))
    else:
        _tell(waiting, taken, cluster=client.cluster, wanted=len(chosen))
    if not taken.complete:
        ctx.exit(5)
    ctx.exit(1 if waiting.broken else 0)


def _where_to_look(jobids: Sequence[int], *, agent: str) -> str:
    ids = ", ".join(map(str, jobids[:MOST_IDS])) + (", ..." if len(jobids) > MOST_IDS else "")
    whose = "until its lease ends" if agent else "to run, and no other caller gets them"
    return (
        f"Of these jobs some may be accepted all the same: {ids}. `rainbow job ID --as-cluster` says so of each;"
        f" one that is accepted is yours {whose}."
    )


def _document(waiting: WaitingJobs, taken: Acceptance) -> dict[str, Any]:
    return {
        "jobs": waiting.jobs,
        "paused": waiting.paused,
        "accepted": [_shown(job) for job in taken.accepted],
        "refused": documents.about_jobs(taken.refused),
        "broken": waiting.broken,
    }


def _shown(job: AcceptedJob) -> dict[str, Any]:
    """Without its trace, which is for agents."""
    return {name: value for name, value in documents.about_job(job).items() if name != "traceparent"}


def _tell(waiting: WaitingJobs, taken: Acceptance, *, cluster: str, wanted: int) -> None:
    for broken in waiting.broken:
        complain(f"Job {broken.id} is left out: {broken.reason}")
    if not waiting.jobs:
        paused = on_one_line(f"{cluster} gets no jobs now: {waiting.paused}")
        say(paused if waiting.paused else f"No jobs wait for {cluster}.")
        return
    show_table(COLUMNS, [_row(job) for job in waiting.jobs])
    if wanted:
        _tell_taken(taken, wanted=wanted)


def _row(job: WaitingJob) -> list[str]:
    limit = span(job.time_limit_seconds) if job.time_limit_seconds else "-"
    tasks = str(job.tasks or "-")
    return [str(job.id), job.name, str(job.nodes), tasks, str(job.priority), limit, job.command]


def _tell_taken(taken: Acceptance, *, wanted: int) -> None:
    if not (taken.complete or taken.accepted or taken.refused):
        say(f"Accepted some of {count(wanted, 'job')}; the server does not say which.")
        return
    ids = ", ".join(str(job.jobid) for job in taken.accepted)
    say(f"Accepted {len(taken.accepted)} of {count(wanted, 'job')}{': ' if ids else ''}{ids}")
    for refused in taken.refused:
        complain(on_one_line(f"Job {refused.jobid} was refused: {refused.message or refused.reason}"))
