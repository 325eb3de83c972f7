import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from django.db import connection
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector


class DatabaseDisk(Collector):
    """Of the embedded database; PostgreSQL's disk is its own server's."""

    def describe(self) -> Iterable[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        if connection.vendor != "sqlite":
            return
        try:
            found = os.statvfs(Path(str(connection.settings_dict["NAME"])).parent)
        except OSError:
            return
        yield GaugeMetricFamily(
            "rainbow_database_disk_free_bytes",
            "Free in the file system of the SQLite database.",
            value=found.f_bavail * found.f_frsize,
        )
