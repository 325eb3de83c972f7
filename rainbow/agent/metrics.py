"""An agent's metrics. docs/metrics.md lists them."""

import os
from collections import Counter as Tally
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from rainbow import __version__
from rainbow.agent.agent import Agent
from rainbow.agent.states import Stage

# Scheduler commands are given up after 30 seconds.
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class AgentMetrics:
    def __init__(self, *, cluster: str, executor: str) -> None:
        self._registry = CollectorRegistry()
        self._seconds = Histogram(
            "rainbow_agent_scheduler_seconds",
            "How long the scheduler took.",
            ["call"],
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._failures = Counter(
            "rainbow_agent_scheduler_failures_total",
            "Calls that the scheduler did not answer, or refused.",
            ["call"],
            registry=self._registry,
        )
        self._about = (__version__, cluster, executor)
        ProcessCollector(registry=self._registry)

    @contextmanager
    def timed(self, call: str) -> Iterator[None]:
        with self._seconds.labels(call).time(), self._failures.labels(call).count_exceptions():
            yield

    def watch(self, agent: Agent, *, folder: Path) -> None:
        """Tells from now on how the agent is. `folder` is where it keeps its state."""
        self._registry.register(_AgentState(agent, folder, self._about))

    def write(self) -> bytes:
        return generate_latest(self._registry)


class _AgentState(Collector):
    """Read from another thread than the agent's, so only what that one replaces as a whole."""

    def __init__(self, agent: Agent, folder: Path, about: tuple[str, str, str]) -> None:
        self._agent = agent
        self._folder = folder
        self._about = about

    def describe(self) -> Iterable[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        info = GaugeMetricFamily(
            "rainbow_agent_info", "What runs; always 1.", labels=["version", "cluster", "executor"]
        )
        info.add_metric(self._about, 1)
        yield info
        yield _jobs(self._agent)
        yield GaugeMetricFamily(
            "rainbow_agent_reports_outstanding",
            "Jobs of which the server does not know yet how they go.",
            value=self._agent.reports_outstanding,
        )
        yield GaugeMetricFamily(
            "rainbow_agent_troubles", "Duties that failed and were not done since.", value=self._agent.troubles
        )
        yield GaugeMetricFamily(
            "rainbow_agent_takes_jobs", "0 while the agent takes no jobs.", value=not self._agent.not_ready
        )
        yield GaugeMetricFamily(
            "rainbow_agent_last_round_timestamp_seconds",
            "When its last round ended; 0 before the first.",
            value=self._agent.last_round_at,
        )
        yield GaugeMetricFamily(
            "rainbow_agent_last_contact_timestamp_seconds",
            "When the server last answered; 0 if it never did.",
            value=self._agent.last_contact_at,
        )
        yield from _disk(self._folder)


def _jobs(agent: Agent) -> Metric:
    family = GaugeMetricFamily("rainbow_agent_jobs", "Jobs that the agent holds, by stage.", labels=["stage"])
    held = Tally(agent.stages)
    for stage in Stage:
        family.add_metric([stage.value.replace(" ", "_")], held[stage])
    return family


def _disk(folder: Path) -> Iterator[Metric]:
    try:
        found = os.statvfs(folder)
    except OSError:
        return
    yield GaugeMetricFamily(
        "rainbow_agent_disk_free_bytes", "Free for its state folder.", value=found.f_bavail * found.f_frsize
    )
    yield GaugeMetricFamily(
        "rainbow_agent_disk_size_bytes", "Size of the file system.", value=found.f_blocks * found.f_frsize
    )
