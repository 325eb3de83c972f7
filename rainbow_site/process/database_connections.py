"""The connections of a process to PostgreSQL, as metrics. SQLite has a file and no pool."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from django.db import connection
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector


class DatabaseConnections(Collector):
    """Counts of psycopg_pool (https://www.psycopg.org/psycopg3/docs/advanced/pool.html#pool-stats)."""

    def describe(self) -> Iterable[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        pool: Any = getattr(connection, "pool", None)
        return families(pool.get_stats()) if pool else iter(())


def families(told: Mapping[str, int]) -> Iterator[Metric]:
    size, idle = told["pool_size"], told["pool_available"]
    connections = GaugeMetricFamily(
        "rainbow_database_connections", "Connections that the process keeps to PostgreSQL.", labels=["state"]
    )
    connections.add_metric(["used"], size - idle)
    connections.add_metric(["idle"], idle)
    yield connections
    yield _gauge("max", "The most connections that the process keeps (RAINBOW_DATABASE_POOL).", told["pool_max"])
    yield _gauge("waiting", "Threads that wait for a connection now.", told.get("requests_waiting", 0))
    yield CounterMetricFamily(
        "rainbow_database_connection_errors",
        "Requests for a connection that got none in time.",
        value=told.get("requests_errors", 0),
    )


def _gauge(name: str, documentation: str, value: float) -> Metric:
    return GaugeMetricFamily(f"rainbow_database_connections_{name}", documentation, value=value)
