"""The clusters and their jobs as metrics, read from the database once for all processes."""

import logging
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import UTC, datetime

from django.db import connection
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from jobs.queries.fleet_counts import ClusterCounts, FleetCounts, count_fleet
from jobs.states import JobState
from rainbow.telemetry.failures import told
from rainbow.telemetry.lines import Line, Quoted

# Read again when a scrape finds them older.
FRESH_SECONDS = 5.0
# A scrape answers without them when the database takes longer.
PATIENCE_SECONDS = 2.0
_log = logging.getLogger("rainbow")


class FleetMetrics(Collector):
    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="fleet")
        self._reading: Future[FleetCounts] | None = None
        self._counts: FleetCounts | None = None
        self._read_at = float("-inf")

    def describe(self) -> Iterable[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        counts = self._fresh()
        yield GaugeMetricFamily("rainbow_database_up", "Whether the database answers.", value=counts is not None)
        if counts is not None:
            yield from _families(counts, datetime.now(UTC))

    def _fresh(self) -> FleetCounts | None:
        """None while the database does not answer: numbers of before would look like those of now."""
        if time.monotonic() - self._read_at < FRESH_SECONDS:
            return self._counts
        reading = self._reading = self._reading or self._thread.submit(_read)
        if not wait([reading], timeout=PATIENCE_SECONDS).done:
            return None
        self._reading = None
        try:
            self._counts, self._read_at = reading.result(), time.monotonic()
        except Exception as error:
            _log.warning(Line("could not count jobs for metrics", error=Quoted(told(error))))
            return None
        return self._counts


def _read() -> FleetCounts:
    try:
        return count_fleet()
    finally:
        connection.close()


def _families(counts: FleetCounts, now: datetime) -> Iterator[Metric]:
    yield GaugeMetricFamily("rainbow_clusters", "Registered clusters and pools.", value=counts.registered)
    yield GaugeMetricFamily(
        "rainbow_leases_held_back",
        "Whether leases that ran out stay in force, since most clusters are silent at once.",
        value=counts.leases_held_back,
    )
    yield _jobs(counts.clusters)
    yield _per_cluster(
        "rainbow_jobs_oldest_queued_seconds",
        "How long the oldest queued job has waited; 0 without one.",
        {one.name: _age(one.oldest_submitted_at, now) for one in counts.clusters},
    )
    clusters = [one for one in counts.clusters if not one.pool]
    yield _per_cluster(
        "rainbow_cluster_last_asked_timestamp_seconds",
        "When the cluster's agent last requested jobs; 0 if it never did.",
        {one.name: one.last_asked_at.timestamp() if one.last_asked_at else 0 for one in clusters},
    )
    yield _per_cluster(
        "rainbow_cluster_paused", "Whether the cluster is paused.", {one.name: one.paused for one in clusters}
    )
    yield _per_cluster(
        "rainbow_cluster_not_ready",
        "Whether its agent says that it takes no jobs now.",
        {one.name: one.not_ready for one in clusters},
    )
    yield _per_cluster(
        "rainbow_cluster_tokens_held",
        "Tokens whose jobs are held back, since too many failed at once.",
        {one.name: one.tokens_held for one in clusters},
    )


def _jobs(clusters: Iterable[ClusterCounts]) -> Metric:
    family = GaugeMetricFamily("rainbow_jobs", "Jobs on record, by state.", labels=["cluster", "state"])
    for one in clusters:
        for state in JobState:
            family.add_metric([one.name, state.value], one.jobs.get(state, 0))
    return family


def _per_cluster(name: str, documentation: str, values: dict[str, float]) -> Metric:
    family = GaugeMetricFamily(name, documentation, labels=["cluster"])
    for cluster, value in values.items():
        family.add_metric([cluster], float(value))
    return family


def _age(at: datetime | None, now: datetime) -> float:
    return max(0.0, (now - at).total_seconds()) if at else 0.0
