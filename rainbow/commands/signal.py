from collections.abc import Sequence

import click

from rainbow.errors import NO_SUCH_JOB
from rainbow.records import SignalOutcome, SignalResult
from rainbow.signals import SIGNALS
from rainbow.slurm_commands.job_ids import JobRef
from rainbow.terminal import documents, session
from rainbow.terminal.in_doubt import in_doubt
from rainbow.terminal.options import json_option, observer_options, server_options
from rainbow.terminal.output import complain, say, write_json
from rainbow.terminal.slurm_jobs import jobids_of
from rainbow.terminal.types import JobIds
from rainbow.text import on_one_line

EPILOG = """\b
Examples:
  rainbow signal 7 USR1
  rainbow signal 7 8 9 TERM

Exits with 4 when a job was not found, and with 5 when one does not run.
"""
LOST = "The signal may be sent all the same: the event `signalled` of a job, in `rainbow job ID`, says when it was."
WORDS = {
    SignalOutcome.UNSPECIFIED: "the server's answer is not understood",
    SignalOutcome.REQUESTED: "the cluster's agent will send the signal",
    SignalOutcome.NOT_RUNNING: "does not run, or no agent has it",
    SignalOutcome.NOT_FOUND: NO_SUCH_JOB,
    SignalOutcome.TOO_MANY: "so many signals wait for its agent already",
}


@click.command("signal", epilog=EPILOG)
@server_options
@observer_options
@json_option
@click.argument("refs", metavar="ID...", nargs=-1, type=JobIds())
@click.argument("signal", metavar="SIGNAL")
@click.pass_context
def command(ctx: click.Context, refs: Sequence[JobRef], signal: str, as_cluster: bool, as_json: bool) -> None:
    """Send a signal to all processes of running jobs, by their clusters' agents, within a second.

    SIGNAL is HUP, INT, QUIT, USR1, USR2, ALRM, TERM, CONT, STOP, TSTP or WINCH.
    """
    name = signal.upper().removeprefix("SIG")
    if not refs:
        raise click.UsageError(f"Missing argument '{'ID...' if name in SIGNALS else 'SIGNAL'}'.")
    if name not in SIGNALS:
        ends = "; `rainbow cancel` ends jobs" if name in ("KILL", "9") else ""
        raise click.BadParameter(f"{signal!r} is none of {', '.join(SIGNALS)}{ends}.", param_hint="SIGNAL")
    with session.observer(ctx, as_cluster=as_cluster) as client, in_doubt(LOST):
        results = client.signal_jobs(jobids_of(client, refs), name)
    if as_json:
        write_json({"results": documents.about_jobs(results)})
    else:
        _tell(results)
    ctx.exit(_exit_code(results))


def _tell(results: Sequence[SignalResult]) -> None:
    for result in results:
        tell = say if result.outcome is SignalOutcome.REQUESTED else complain
        tell(on_one_line(f"Job {result.jobid}: {result.message or WORDS[result.outcome]}"))


def _exit_code(results: Sequence[SignalResult]) -> int:
    outcomes = {result.outcome for result in results}
    if SignalOutcome.NOT_FOUND in outcomes:
        return 4
    return 0 if outcomes == {SignalOutcome.REQUESTED} else 5
