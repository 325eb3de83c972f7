import platform
from collections.abc import Iterable, Iterator

from django.db import connection
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from rainbow import __version__


class BuildInfo(Collector):
    def describe(self) -> Iterable[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        family = GaugeMetricFamily(
            "rainbow_build_info", "What runs; always 1.", labels=["version", "python", "database"]
        )
        family.add_metric([__version__, platform.python_version(), connection.vendor], 1)
        yield family
