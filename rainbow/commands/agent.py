"""rainbow agent"""

import logging
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import click
import platformdirs

from rainbow.agent import Agent, Habits, Post, identity_in
from rainbow.commands import session
from rainbow.commands.agent_plan import planned, show_plan
from rainbow.commands.options import json_option, scheduler_option, secret_file_option, server_options
from rainbow.commands.output import write_json
from rainbow.commands.types import Span
from rainbow.config import environment
from rainbow.executors import EXECUTORS, Site
from rainbow.journal import Journal
from rainbow.policy import Policy, read_policy
from rainbow.text import on_one_line, printable

EPILOG = """\b
Examples:
  rainbow agent --executor slurm --request-secret-file /etc/rainbow/secret
  rainbow agent --executor local --slots 4 --once
  rainbow agent --executor flux --policy /etc/rainbow/policy.toml --dry-run

SIGTERM and Ctrl-C end it: it takes no more jobs, and those that run go on. docs/agent.md says more.
"""
COUNT = click.IntRange(min=0)
# Looking costs Slurm and Flux a call, and this machine next to nothing.
INTERVAL_SECONDS = {"slurm": 1.0, "flux": 1.0, "local": 0.2}

AS_ROOT = (
    "jobs run as root: all who have the cluster's token can do anything on this machine;"
    " run the agent as a user who owns nothing else"
)

_log = logging.getLogger("rainbow.agent")


@click.command("agent", epilog=EPILOG)
@server_options
@secret_file_option
@click.option("--executor", type=click.Choice(list(EXECUTORS)), required=True, help="What runs the jobs.")
@click.option("--name", metavar="NAME", help="The agent's name.  [default: the host's]")
@click.option("--state-dir", metavar="PATH", help="Where it keeps its journal.  [default: one for each cluster]")
@click.option("--policy", "policy_file", metavar="FILE", help="What jobs the site takes.  [default: all]")
@click.option("--slots", type=COUNT, default=0, help="How much `local` runs at once.  [default: one for each CPU]")
@click.option("--max-jobs", type=COUNT, default=0, help="How many jobs it holds at most.  [default: no limit]")
@click.option("--ahead", type=COUNT, default=0, help="How many jobs may wait in the scheduler's queue.  [default: 0]")
@scheduler_option
@click.option(
    "--lease",
    "lease_seconds",
    type=Span(lowest=10, highest=86_400),
    default=300,
    help="How long it may be silent before its jobs count as lost.  [default: 5m]",
)
@click.option(
    "--interval",
    "interval_seconds",
    type=click.FloatRange(min=0.05, max=60),
    metavar="SECONDS",
    help="How often it looks at its jobs.  [default: 1; 0.2 for local]",
)
@click.option(
    "--pause-after",
    type=COUNT,
    default=20,
    help="Pause the cluster after so many jobs in a row that fail at once; 0 never does.  [default: 20]",
)
@click.option("--once", is_flag=True, help="End when nothing waits that can run here, and all jobs are over.")
@click.option("--dry-run", is_flag=True, help="Show what it would take now, and take nothing.")
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    /,
    executor: str,
    name: str | None,
    state_dir: str | None,
    policy_file: str | None,
    slots: int,
    scheduler_options: tuple[str, ...],
    interval_seconds: float | None,
    once: bool,
    dry_run: bool,
    as_json: bool,
    **habits: Any,
) -> None:
    """Run the cluster's jobs by its scheduler. It takes those that can run now and reports how they go.

    It needs the cluster's secret, from RAINBOW_SECRET, the configuration file, or --request-secret-file. With
    --dry-run, --json prints one JSON document; otherwise what it does is in its log, on standard error.
    """
    _start_log()
    policy = read_policy(Path(policy_file)) if policy_file else Policy()
    with session.puller(ctx) as client:
        folder = Path(state_dir) if state_dir else _usual_folder(client.cluster)
        site = Site(folder=folder, environment=environment(), options=scheduler_options, slots=slots)
        scheduler = EXECUTORS[executor](site)
        if dry_run:
            plan = planned(client, scheduler, policy)
            write_json(plan) if as_json else show_plan(plan)
            return
        agent = identity_in(folder, name or socket.gethostname())
        interval = interval_seconds or INTERVAL_SECONDS[executor]
        chosen = Habits(agent=agent, interval_seconds=interval, **habits)
        _log.info(
            "%s for %s by %s, reached %s, state in %s",
            chosen.agent,
            client.cluster,
            executor,
            scheduler.way.words,
            folder,
        )
        if scheduler.way.advice:
            _log.warning("%s", scheduler.way.advice)
        if os.geteuid() == 0:
            _log.warning("%s", AS_ROOT)
        post = Post(
            client=client,
            executor=scheduler,
            habits=chosen,
            policy=policy,
            read_secret=lambda: session.secret_again(ctx),
        )
        _run(post, folder, once=once)


def _run(post: Post, folder: Path, *, once: bool) -> None:
    with Journal(folder) as journal:
        agent = Agent(post, journal)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: agent.drain())
        agent.run(once=once)


def _usual_folder(cluster: str) -> Path:
    return Path(platformdirs.user_state_dir("rainbow")) / "agent" / cluster


class LineFormatter(logging.Formatter):
    """Each message is one line, whatever words of a job, a scheduler or a server it repeats."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        record.message = on_one_line(record.message)
        return super().formatMessage(record)

    def formatException(self, ei: Any) -> str:
        return printable(super().formatException(ei))


def _start_log() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormatter("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
