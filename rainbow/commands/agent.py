import logging
import os
import signal
import socket
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

import click
import platformdirs

from rainbow import leases
from rainbow.agent.agent import Agent
from rainbow.agent.context import AgentContext, AgentSettings
from rainbow.agent.identity import identity_in
from rainbow.agent.job_reports import AS_ROOT
from rainbow.agent.journal import Journal
from rainbow.agent.metrics import AgentMetrics
from rainbow.agent.metrics_server import MetricsServer
from rainbow.agent.people import People, UsersFile
from rainbow.agent.policy import Policy
from rainbow.agent.policy_file import read_policy
from rainbow.agent.required_signatures import RequiredSignatures
from rainbow.agent.signed_runs import SignedRuns
from rainbow.agent.site_facts import check_site_facts, read_facts_file, told_facts
from rainbow.agent.site_secrets import SecretsFile, SiteSecrets
from rainbow.agent.steady_clock import SteadyClock
from rainbow.agent.timed_executor import TimedExecutor
from rainbow.client import Client
from rainbow.config import environment
from rainbow.errors import InvalidArgument
from rainbow.executors.containers import Containers
from rainbow.executors.executor import KEPT_OUTPUT_BYTES, Site
from rainbow.executors.table import EXECUTORS, make_executor
from rainbow.facts import Value
from rainbow.system.prctl import close_standard_input, hide_memory
from rainbow.terminal import session
from rainbow.terminal.agent_log import start_log
from rainbow.terminal.agent_plan import planned, show_plan
from rainbow.terminal.options import (
    container_options,
    json_option,
    log_options,
    scheduler_option,
    secret_file_option,
    server_options,
)
from rainbow.terminal.output import write_json
from rainbow.terminal.types import Number, Pair, Size, Span, Whole

EPILOG = """\b
Examples:
  rainbow agent --executor slurm --request-secret-file /etc/rainbow/secret
  rainbow agent --executor local --slots 4 --once
  rainbow agent --executor flux --policy /etc/rainbow/policy.toml --dry-run
  rainbow agent --executor slurm --only-mine

SIGTERM and Ctrl-C end it: it takes no more jobs, and those that run go on. docs/agent.md says more.
"""
COUNT = Whole(min=0)
INTERVALS = ", ".join(f"{kind.interval_seconds:g} for {name}" for name, kind in EXECUTORS.items())
OUTPUT = Size(lowest=64 * 1024, highest=1024**5)

_log = logging.getLogger("rainbow.agent")


@click.command("agent", epilog=EPILOG)
@server_options
@secret_file_option
@click.option(
    "--executor", type=click.Choice(list(EXECUTORS)), required=True, help="The scheduler; local is this machine."
)
@click.option("--name", metavar="NAME", help="Its name on the server.  [default: the host's]")
@click.option("--state-dir", metavar="PATH", help="Folder for journal and outputs.  [default: one for each cluster]")
@click.option("--moved", is_flag=True, help="The state folder was moved here, and no agent uses the old one any more.")
@click.option(
    "--only-mine", is_flag=True, help="Run only your own jobs, with your personal token instead of the secret."
)
@click.option(
    "--policy", "policy_file", metavar="FILE", help="TOML file that limits which jobs it takes.  [default: all]"
)
@click.option("--users", "users_file", metavar="FILE", help="TOML file of persons and their Unix users.")
@click.option(
    "--run-as-person",
    "persons",
    metavar="FOLDER",
    help="Run each job as the Unix user of its owner, by sudo; FOLDER has a folder of each.  [default: as the agent's]",
)
@click.option("--require-signature", is_flag=True, help="Run only jobs that their owner signed, by a key in --users.")
@click.option("--secrets", "secrets_file", metavar="FILE", help="TOML file of secrets that jobs name.  [default: none]")
@click.option("--facts", "facts_file", metavar="FILE", help="TOML file of what the site says of the cluster.")
@click.option(
    "--fact",
    "facts",
    type=Pair(),
    multiple=True,
    metavar="NAME=VALUE",
    help="What the site says of the cluster, such as site=geneva; a name that is repeated has a set.",
)
@click.option("--slots", type=COUNT, default=0, help="How many slots `local` has.  [default: one for each CPU]")
@click.option(
    "--max-output",
    "kept_output_bytes",
    type=OUTPUT,
    metavar="SIZE",
    default=KEPT_OUTPUT_BYTES,
    help="How much of a job's output is kept, besides its end.  [default: 1G]",
)
@click.option(
    "--keep-output-for",
    "keep_output",
    type=Span(lowest=300, highest=31_536_000),
    metavar="SPAN",
    default=86_400,
    help="How long what jobs wrote can be read after their ends.  [default: 1d]",
)
@click.option(
    "--keep-output-total",
    "keep_output_bytes",
    type=Size(lowest=1024**2, highest=1024**5),
    metavar="SIZE",
    default=10 * 1024**3,
    help="How much space it may take; beyond it the earliest goes.  [default: 10G]",
)
@click.option("--max-jobs", type=COUNT, default=0, help="The most jobs that it holds at once.  [default: no limit]")
@click.option("--ahead", type=COUNT, default=0, help="The most jobs in the scheduler's queue.  [default: 0]")
@scheduler_option
@container_options
@click.option(
    "--lease",
    "lease_seconds",
    type=Span(lowest=leases.MIN_SECONDS, highest=leases.MAX_SECONDS),
    default=leases.DEFAULT_SECONDS,
    help="How long it may be silent before its jobs count as lost.  [default: 5m]",
)
@click.option(
    "--interval",
    "interval_seconds",
    type=Number(min=0.05, max=60),
    metavar="SECONDS",
    help=f"How often it polls its jobs.  [default: {INTERVALS}]",
)
@click.option(
    "--hold-after",
    "--pause-after",
    "hold_after",
    type=COUNT,
    default=20,
    help="Hold a token's jobs back after so many of them in a row that fail at once; 0 never does.  [default: 20]",
)
@click.option(
    "--metrics-address", metavar="HOST:PORT", help="Where Prometheus scrapes its metrics.  [default: nowhere]"
)
@click.option(
    "--metrics-token-file", metavar="FILE", help="File with a token that scrapes have to present; read at each scrape."
)
@click.option("--once", is_flag=True, help="Exit when no job waits that can run here, and all are over.")
@click.option("--dry-run", is_flag=True, help="Show which jobs it would take now, and take none.")
@json_option
@log_options
@click.pass_context
def command(
    ctx: click.Context,
    /,
    executor: str,
    state_dir: str | None,
    policy_file: str | None,
    users_file: str | None,
    secrets_file: str | None,
    facts_file: str | None,
    facts: tuple[tuple[str, str], ...],
    metrics_address: str | None,
    metrics_token_file: str | None,
    require_signature: bool,
    only_mine: bool,
    once: bool,
    dry_run: bool,
    as_json: bool,
    log_format: str,
    log_level: str,
    **options: Any,
) -> None:
    """Run the cluster's jobs by its scheduler.

    The agent requests jobs that can run now, hands them to the scheduler, and reports how they go. It needs the
    cluster's secret, from RAINBOW_SECRET, the configuration file, or --request-secret-file; with --only-mine
    your personal token, from RAINBOW_TOKEN or the configuration file. It logs to standard error; with --dry-run, --json
    prints one JSON document.
    """
    start_log(form=log_format, level=log_level)
    policy = read_policy(Path(policy_file)) if policy_file else Policy()
    site_facts = _site_facts(facts_file, facts)
    people = _people(users_file, run_as_person=bool(options["persons"]), signed=require_signature)
    secrets = _secrets(secrets_file)
    with session.own_puller(ctx) if only_mine else session.puller(ctx) as client:
        folder = Path(state_dir) if state_dir else _usual_folder(client.cluster, only_mine=only_mine)
        scheduler = make_executor(executor, _site(folder, options))
        if dry_run:
            signatures = _signatures(people, client.cluster, None) if require_signature else None
            looking = AgentSettings(agent="")
            plan = planned(
                AgentContext(
                    client=client,
                    executor=scheduler,
                    settings=looking,
                    policy=policy,
                    people=people,
                    signatures=signatures,
                    secrets=secrets,
                )
            )
            write_json(plan) if as_json else show_plan(plan)
            return
        _keep_secret()
        metrics = AgentMetrics(cluster=client.cluster, executor=executor)
        scrapes = _scrapes(metrics, metrics_address, metrics_token_file)
        with Journal(folder) as journal:
            context = AgentContext(
                client=client,
                executor=TimedExecutor(scheduler, metrics.timed) if scrapes else scheduler,
                settings=_settings(folder, executor, person=_person(client) if only_mine else "", **options),
                policy=policy,
                clock=SteadyClock(not_before=journal.latest()).now,
                read_secret=lambda: session.token_again(ctx) if only_mine else session.secret_again(ctx),
                site_facts=site_facts,
                people=people,
                signatures=_signatures(people, client.cluster, SignedRuns(folder)) if require_signature else None,
                secrets=secrets,
            )
            words = (context.settings.agent, client.cluster, executor, scheduler.access.description, folder)
            _log.info("%s for %s by %s, reached %s, state in %s", *words)
            agent = Agent(context, journal)
            if scrapes:
                metrics.watch(agent, folder=folder)
                scrapes.start()
            _run(agent, context, once=once)


def _people(users_file: str | None, *, run_as_person: bool, signed: bool) -> People:
    """A file that cannot be used ends the agent at its start; later, it waits until the file is right again."""
    if not users_file:
        if run_as_person or signed:
            raise click.UsageError(f"{'--run-as-person' if run_as_person else '--require-signature'} needs --users")
        return People()
    file = UsersFile(path=Path(users_file))
    file.users()
    if file.fault:
        raise InvalidArgument(file.fault)
    return People(file=file, run_as_person=run_as_person)


def _secrets(secrets_file: str | None) -> SiteSecrets:
    """As with the file of persons, one that cannot be used ends the agent at its start."""
    if not secrets_file:
        return SiteSecrets()
    file = SecretsFile(path=Path(secrets_file))
    file.secrets()
    if file.fault:
        raise InvalidArgument(file.fault)
    return SiteSecrets(file=file)


def _signatures(people: People, cluster: str, runs: SignedRuns | None) -> RequiredSignatures | None:
    return RequiredSignatures(file=people.file, cluster=cluster, runs=runs) if people.file else None


def _site(folder: Path, options: dict[str, Any]) -> Site:
    """Takes the options that it alone uses out of the mapping."""
    persons = options.pop("persons")
    return Site(
        folder=folder,
        persons=Path(persons) if persons else None,
        environment=environment(),
        options=options.pop("scheduler_options"),
        slots=options.pop("slots"),
        kept_output_bytes=options["kept_output_bytes"],
        containers=Containers(
            runtime=options.pop("container_runtime") or "",
            options=options.pop("container_options"),
            pull=options.pop("container_pull"),
        ),
    )


def _site_facts(file: str | None, told: Iterable[tuple[str, str]]) -> dict[str, Value]:
    """The command line goes before the file."""
    in_file = read_facts_file(Path(file)) if file else {}
    try:
        return check_site_facts({**in_file, **told_facts(told)})
    except InvalidArgument as error:
        raise click.UsageError(f"--fact {error}") from error


def _scrapes(metrics: AgentMetrics, address: str | None, token_file: str | None) -> MetricsServer | None:
    if not address:
        return None
    server = MetricsServer(address, metrics.write, token_file=token_file or "")
    _log.info("metrics at http://%s/metrics", address)
    return server


def _keep_secret() -> None:
    """Hide the secret from jobs of the same user, in this process and where it was read from."""
    hide_memory()
    close_standard_input()


def _settings(
    folder: Path,
    executor: str,
    *,
    person: str,
    name: str | None,
    moved: bool,
    interval_seconds: float | None,
    keep_output: int,
    **more: Any,
) -> AgentSettings:
    agent = identity_in(folder, name or socket.gethostname(), moved=moved)
    return AgentSettings(
        agent=f"~{person}/{agent}" if person else agent,
        interval_seconds=interval_seconds or EXECUTORS[executor].interval_seconds,
        only_mine=bool(person),
        keep_output=timedelta(seconds=keep_output),
        **more,
    )


def _person(client: Client) -> str:
    """The server takes a person's agents only under names that begin with the person's."""
    return client.who_am_i().person


def _run(agent: Agent, context: AgentContext, *, once: bool) -> None:
    if context.executor.access.advice:
        _log.warning("%s", context.executor.access.advice)
    if os.geteuid() == 0:
        _log.warning("%s", AS_ROOT)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: agent.drain())
    agent.run(once=once)


def _usual_folder(cluster: str, *, only_mine: bool) -> Path:
    return Path(platformdirs.user_state_dir("rainbow")) / ("own-agent" if only_mine else "agent") / cluster
