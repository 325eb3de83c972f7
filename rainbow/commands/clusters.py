from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import click

from rainbow.errors import NotFound
from rainbow.facts import Facts, Partition, Value
from rainbow.records import Cluster
from rainbow.terminal import session
from rainbow.terminal.completion import cluster_names
from rainbow.terminal.formatting import ago, memory, span, when
from rainbow.terminal.options import json_option, observer_options, server_options
from rainbow.terminal.output import say, write_json
from rainbow.terminal.tables import aligned, show_table
from rainbow.text import on_one_line

EPILOG = """\b
Examples:
  rainbow clusters
  rainbow clusters keebler
  rainbow clusters --json
"""
COLUMNS = ("NAME", "TAKES JOBS", "QUEUED", "OLDEST", "NODES", "CORES", "GPUS")
PARTITION_COLUMNS = (
    "PARTITION",
    "NODES",
    "CORES/NODE",
    "MEMORY/NODE",
    "GPUS/NODE",
    "LONGEST",
    "MOST NODES",
    "FEATURES",
)
# As the server warns.
QUIET_AFTER = timedelta(minutes=5)


@click.command("clusters", epilog=EPILOG)
@server_options
@observer_options
@json_option
@click.argument("name", metavar="[NAME]", default="", shell_complete=cluster_names)
@click.pass_context
def command(ctx: click.Context, name: str, as_cluster: bool, as_json: bool) -> None:
    """List the clusters that you may use, and what they have.

    That is the cluster of the credential, or its pool and the clusters of that in the pool's order. With NAME, only
    that one is shown, with all that it has.
    """
    with session.observer(ctx, as_cluster=as_cluster) as client:
        try:
            found = client.list_clusters(name=name)
        except NotFound as error:
            raise NotFound(f"{name}: {error.message}") from error
    now = datetime.now(UTC)
    if as_json:
        write_json(found[0] if name else {"clusters": found})
    elif name:
        _tell(found[0], now=now)
    else:
        _list(found, now=now)


def _list(clusters: tuple[Cluster, ...], *, now: datetime) -> None:
    show_table(COLUMNS, [_row(cluster, now=now) for cluster in clusters])
    for cluster in clusters:
        if cluster.warning:
            say(on_one_line(f"Warning: {cluster.warning}"))


def _row(cluster: Cluster, *, now: datetime) -> list[str]:
    oldest = ago(cluster.oldest_submitted_at, now=now) if cluster.oldest_submitted_at else "-"
    name = f"{cluster.name} (pool)" if cluster.pool else cluster.name
    return [name, _takes_jobs(cluster, now=now), f"{cluster.queued:,}", oldest, *_totals(cluster.facts)]


def _takes_jobs(cluster: Cluster, *, now: datetime) -> str:
    if cluster.paused:
        return "paused"
    if cluster.not_ready:
        return "not ready"
    if not cluster.last_asked_at:
        return "never asked"
    asked = ago(cluster.last_asked_at, now=now)
    quiet = now - cluster.last_asked_at >= QUIET_AFTER
    return f"silent, {asked}" if quiet else f"yes, {asked}"


def _totals(facts: Facts) -> list[str]:
    """The nodes, cores and GPUs of the largest partition: one node may be in several."""
    partitions = facts.by_partition().values()
    nodes = max((sum(one.nodes for one in same) for same in partitions), default=0)
    cores = max((sum(one.nodes * one.cores_per_node for one in same) for same in partitions), default=0)
    gpus = max((sum(one.nodes * sum(one.gpus_per_node.values()) for one in same) for same in partitions), default=0)
    told = [facts.values.get(name, count) for name, count in (("nodes", nodes), ("cores", cores), ("gpus", gpus))]
    return [_spoken(value) if value else "-" for value in told]


def _tell(cluster: Cluster, *, now: datetime) -> None:
    lines = [(f"{name}:", on_one_line(value)) for name, value in _what_it_is(cluster, now=now) if value]
    say(aligned(lines))
    if cluster.facts.partitions:
        say("")
        show_table(PARTITION_COLUMNS, [_partition(partition) for partition in cluster.facts.partitions])
    if cluster.facts.values:
        say("")
        values = sorted(cluster.facts.values.items())
        say(aligned([(f"{on_one_line(name)}:", on_one_line(_spoken(value))) for name, value in values]))


def _what_it_is(cluster: Cluster, *, now: datetime) -> Iterator[tuple[str, str]]:
    yield "pool" if cluster.pool else "cluster", cluster.name
    yield "takes jobs", _takes_jobs(cluster, now=now)
    yield "paused", cluster.paused
    yield "not ready", cluster.not_ready
    yield "warning", cluster.warning
    yield "takes the pool's jobs after", span(cluster.after_seconds) if cluster.after_seconds else ""
    yield "jobs waiting", f"{cluster.queued:,}"
    yield "oldest submitted", when(cluster.oldest_submitted_at, now=now) if cluster.oldest_submitted_at else ""
    yield "said what it has", when(cluster.facts_at, now=now) if cluster.facts_at else "" if cluster.pool else "never"


def _partition(one: Partition) -> list[str]:
    return [
        f"{one.name} (default)" if one.default else one.name,
        _count(one.nodes),
        _count(one.cores_per_node),
        memory(one.memory_mib_per_node) if one.memory_mib_per_node else "-",
        _gpus(one),
        span(one.longest_seconds) if one.longest_seconds else "-",
        _count(one.max_nodes),
        ", ".join(one.features) or "-",
    ]


def _gpus(one: Partition) -> str:
    """Of a node."""
    if not one.gpus_per_node:
        return "-"
    return ", ".join(f"{count:,} {kind}".rstrip() for kind, count in sorted(one.gpus_per_node.items()))


def _count(count: int) -> str:
    return f"{count:,}" if count else "-"


def _spoken(value: Value) -> str:
    if isinstance(value, tuple):
        return ", ".join(value)
    return value if isinstance(value, str) else f"{value:,}"
