from pathlib import Path

import click
import platformdirs

from rainbow.config import environment
from rainbow.doctor.checks import Subject, Verdict, run_checks
from rainbow.executors.executor import Site
from rainbow.executors.table import EXECUTORS, make_executor
from rainbow.terminal import session
from rainbow.terminal.options import json_option, scheduler_option, secret_file_option, server_options
from rainbow.terminal.output import say, write_json
from rainbow.terminal.tables import show_table

EPILOG = """\b
Examples:
  rainbow doctor
  rainbow doctor --executor slurm --request-secret-file /etc/rainbow/secret

Exits with 5 when a check failed.
"""
COLUMNS = ("CHECK", "RESULT", "WHAT")


@click.command("doctor", epilog=EPILOG)
@server_options
@secret_file_option
@click.option("--executor", type=click.Choice(list(EXECUTORS)), help="Check this scheduler, too.")
@click.option("--state-dir", metavar="PATH", help="The agent's folder.  [default: one for each cluster]")
@scheduler_option
@json_option
@click.pass_context
def command(
    ctx: click.Context, executor: str | None, state_dir: str | None, scheduler_options: tuple[str, ...], as_json: bool
) -> None:
    """Check what an agent needs, and say what to do. The checks run from this machine."""
    known = session.settings(ctx)
    folder = Path(state_dir) if state_dir else Path(platformdirs.user_state_dir("rainbow")) / "agent" / known.cluster
    site = Site(folder=folder, environment=environment(), options=scheduler_options)
    scheduler = make_executor(executor, site) if executor else None
    findings = run_checks(Subject(settings=known, folder=folder, executor=scheduler, executor_name=executor or ""))
    if as_json:
        write_json({"checks": findings})
    else:
        show_table(COLUMNS, [(item.check, item.verdict, item.detail) for item in findings])
        for item in findings:
            if item.advice:
                say(f"\n{item.check}: {item.advice}")
    ctx.exit(5 if any(item.verdict == Verdict.FAILED for item in findings) else 0)
