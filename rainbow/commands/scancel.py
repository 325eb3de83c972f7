from collections.abc import Iterator, Sequence

import click

from rainbow.client import Client
from rainbow.errors import FailedPrecondition, InvalidArgument, NotFound
from rainbow.outcomes import CancelOutcome, SignalOutcome
from rainbow.records import Job
from rainbow.signals import SIGNALS
from rainbow.slurm_commands.job_ids import JobRef, job_refs, shown_id
from rainbow.slurm_commands.job_states import states_in
from rainbow.slurm_commands.selection import Selection, items
from rainbow.terminal import session
from rainbow.terminal.in_doubt import in_doubt
from rainbow.terminal.options import observer_options, server_options
from rainbow.terminal.output import complain
from rainbow.terminal.slurm_jobs import jobs_of, of_caller, selected, selecting_options, selection, shown_ref

EPILOG = """\b
Examples:
  rainbow scancel 12 3000000003_7
  rainbow scancel --me --state PENDING
  rainbow scancel --signal USR1 12

Says nothing of what is done, and of jobs that are over. Exits with 1 where a job was not found or cannot be stopped.
"""
LOST = "The jobs may be stopped all the same. The same command again says what became of them."
ACTIVE = frozenset({"PENDING", "RUNNING", "COMPLETING"})
FAILED = 1
KILL = ("KILL", "9")
JOBS_PER_CALL, JOBS_PER_SIGNAL = 10_000, 1000


@click.command("scancel", epilog=EPILOG)
@server_options
@observer_options
@selecting_options(name="-n", partition="-p")
@click.option("-t", "--state", "--states", "states", multiple=True, metavar="STATE,...", help="PENDING, RUNNING.")
@click.option("-s", "--signal", "signal", metavar="NAME", help="Send this in place of stopping the job.")
@click.option("-b", "--batch", is_flag=True, expose_value=False, help="The script too: signals reach all processes.")
@click.option("-f", "--full", is_flag=True, expose_value=False, help="The same.")
@click.option("-Q", "--quiet", is_flag=True, expose_value=False, help="Nothing is told of jobs that are over, as ever.")
@click.option("-v", "--verbose", is_flag=True, expose_value=False, help="Nothing more is told.")
@click.argument("jobids", metavar="[ID...]", nargs=-1)
@click.pass_context
def command(
    ctx: click.Context,
    jobids: Sequence[str],
    users: Sequence[str],
    me: bool,
    names: Sequence[str],
    partitions: Sequence[str],
    accounts: Sequence[str],
    states: Sequence[str],
    signal: str | None,
    as_cluster: bool,
) -> None:
    """Stop or signal jobs, as Slurm's scancel does."""
    if not any((jobids, users, me, names, partitions, accounts, states)):
        raise click.UsageError("No job identification provided: name ids, --me, -n, -p, -A or -t.")
    _check_said(jobids, users, names, partitions, accounts, states)
    refs = [ref for text in jobids for ref in job_refs(text)]
    name = _signal_in(signal)
    wanted = states_in(states) if states else ACTIVE
    chosen = selection(users=users, me=me, names=names, partitions=partitions, accounts=accounts, states=wanted)
    filtered = any((users, me, names, partitions, accounts, states))
    with session.observer(ctx, as_cluster=as_cluster) as client, in_doubt(LOST):
        whole = [ref for ref in refs if ref.group and not ref.indexes and not filtered and not name]
        stopped = [_cancel_group(client, ref) for ref in whole]
        left = [ref for ref in refs if ref not in whole]
        jobs, known = _jobs(client, left, of_caller(client, chosen), only=bool(refs))
        done = _signalled(client, jobs, name) if name else _cancelled(client, jobs, named=bool(refs))
    ctx.exit(0 if all((*stopped, known, done)) else FAILED)


def _check_said(*given: Sequence[str]) -> None:
    """Nothing in place of an id or a name comes of a variable that is not set, and must not mean all jobs."""
    for values in given:
        if not all(items([value]) for value in values):
            raise click.UsageError("An id, name or state is empty. Nothing was stopped.")


def _signal_in(text: str | None) -> str:
    """Empty for KILL, which stops a job for good."""
    name = (text or "KILL").upper().removeprefix("SIG")
    if name in KILL:
        return ""
    if name not in SIGNALS:
        raise InvalidArgument(f"--signal: {text} is none of KILL, {', '.join(SIGNALS)}")
    return name


def _cancel_group(client: Client, ref: JobRef) -> bool:
    """Whether there is such a group."""
    try:
        client.cancel_group(ref.group)
    except FailedPrecondition:
        return True  # all of them are over
    except NotFound:
        _complain_of_unknown(ref)
        return False
    return True


def _jobs(client: Client, refs: Sequence[JobRef], chosen: Selection, *, only: bool) -> tuple[list[Job], bool]:
    """Those to stop, and whether all ids are known."""
    if not only:
        return list(selected(client, chosen)), True
    jobs, missing = jobs_of(client, refs) if refs else ([], [])
    for ref in missing:
        _complain_of_unknown(ref)
    return [job for job in jobs if chosen.fits(job)], not missing


def _complain_of_unknown(ref: JobRef) -> None:
    complain(f"Kill job error on job id {shown_ref(ref)}: Invalid job id specified")


def _cancelled(client: Client, jobs: Sequence[Job], *, named: bool) -> bool:
    """Whether all were, but for those that are out of reach and that nobody named."""
    shown = {job.id: shown_id(job) for job in jobs}
    done = True
    for part in _parts(list(shown), JOBS_PER_CALL):
        for result in client.cancel_jobs(part):
            if result.outcome in (CancelOutcome.NOT_FOUND, CancelOutcome.OUT_OF_REACH):
                complain(f"Kill job error on job id {shown[result.jobid]}: {result.message or result.outcome}")
                done = done and result.outcome is CancelOutcome.OUT_OF_REACH and not named
    return done


def _signalled(client: Client, jobs: Sequence[Job], name: str) -> bool:
    shown = {job.id: shown_id(job) for job in jobs}
    done = True
    for part in _parts(list(shown), JOBS_PER_SIGNAL):
        for result in client.signal_jobs(part, name):
            if result.outcome is not SignalOutcome.REQUESTED:
                why = result.message or str(result.outcome).replace("_", " ")
                complain(f"Signal {name} was not sent to job id {shown[result.jobid]}: {why}")
                done = False
    return done


def _parts(jobids: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    for start in range(0, len(jobids), size):
        yield jobids[start : start + size]
