"""docs/metrics.md lists each metric as the code has it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import import_module
from types import SimpleNamespace
from typing import cast

from prometheus_client import REGISTRY
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.metrics_core import Metric

from jobs.queries.fleet_counts import ClusterCounts, FleetCounts
from rainbow.agent.agent import Agent
from rainbow.agent.metrics import AgentMetrics
from rainbow_site.metrics import fleet
from rainbow_site.metrics.build import BuildInfo
from rainbow_site.process.certificate_metrics import CertificateMetrics
from rainbow_site.process.certificate_watch import CertificateState
from rainbow_site.process.database_connections import families
from tests.support.servers import ROOT

DEFINING = (
    "clusters.metrics",
    "grpc_api.runtime.metrics",
    "grpc_api.transport.metrics",
    "jobs.metrics",
    "rainbow_site.web.metrics",
    "rainbow_site.web_server.metrics",
)
A_CLUSTER = ClusterCounts(
    name="a", pool=False, jobs={}, oldest_submitted_at=None, last_asked_at=None, paused=False, not_ready=False,
    tokens_held=0,
)  # fmt: skip
A_QUIET_AGENT = {
    "stages": [],
    "reports_outstanding": 0,
    "troubles": 0,
    "not_ready": "",
    "last_round_at": 0.0,
    "last_contact_at": 0.0,
}
POOL = {"pool_size": 1, "pool_available": 1, "pool_max": 1, "requests_waiting": 0, "requests_errors": 0}


@dataclass(frozen=True, slots=True, order=True)
class Listed:
    name: str
    kind: str
    labels: frozenset[str]


def of_the_processes() -> Iterator[Listed]:
    for name in DEFINING:
        import_module(name)
    for collector in REGISTRY._collector_to_names:
        if isinstance(collector, MetricWrapperBase) and collector._name.startswith("rainbow_"):
            suffix = "_total" if collector._type == "counter" else ""
            yield Listed(f"{collector._name}{suffix}", collector._type, frozenset(collector._labelnames))


def of_collectors() -> Iterator[Listed]:
    counts = FleetCounts(clusters=[A_CLUSTER], registered=1, leases_held_back=False)
    certificate = CertificateMetrics(CertificateState(expires_at=datetime.now(UTC)))
    for family in (
        *families(POOL),
        *certificate.collect(),
        *BuildInfo().collect(),
        *fleet._families(counts, datetime.now(UTC)),
    ):
        yield as_listed(family)
    yield Listed("rainbow_process_up", "gauge", frozenset({"process"}))
    yield Listed("rainbow_database_up", "gauge", frozenset())
    # Of SQLite alone.
    yield Listed("rainbow_database_disk_free_bytes", "gauge", frozenset())


def as_listed(family: Metric) -> Listed:
    return Listed(family.samples[0].name, family.type, frozenset(family.samples[0].labels))


def of_the_agent() -> Iterator[Listed]:
    metrics = AgentMetrics(cluster="a", executor="local")
    metrics.watch(cast(Agent, SimpleNamespace(**A_QUIET_AGENT)), folder=ROOT)
    with metrics.timed("submit"):
        pass
    for family in metrics._registry.collect():
        if family.name.startswith("rainbow_"):
            labels = frozenset(family.samples[0].labels) - {"le"}
            suffix = "_total" if family.type == "counter" else ""
            yield Listed(f"{family.name}{suffix}", family.type, labels)


def in_the_page(*, agent: bool) -> list[Listed]:
    lines = (ROOT / "docs" / "metrics.md").read_text().splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| `rainbow_")]
    return [
        Listed(row[0].strip("`"), row[1], frozenset(name.strip() for name in row[2].split(",") if name.strip()))
        for row in rows
        if row[0].startswith("`rainbow_agent_") == agent
    ]


def test_the_page_lists_the_servers_metrics_as_they_are() -> None:
    there = {listed for listed in of_the_processes() if not listed.name.startswith("rainbow_test_")}

    assert sorted(in_the_page(agent=False)) == sorted({*there, *of_collectors()})


def test_the_page_lists_the_agents_metrics_as_they_are() -> None:
    assert sorted(in_the_page(agent=True)) == sorted(of_the_agent())
