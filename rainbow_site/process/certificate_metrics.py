from collections.abc import Iterable, Iterator

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from rainbow_site.process.certificate_watch import STATE, CertificateState


class CertificateMetrics(Collector):
    """Of the certificate that this process uses; nothing without TLS."""

    def __init__(self, state: CertificateState = STATE) -> None:
        self._state = state

    def describe(self) -> Iterable[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        if self._state.expires_at is None:
            return
        yield GaugeMetricFamily(
            "rainbow_certificate_expiry_timestamp_seconds",
            "When the certificate in use ends.",
            value=self._state.expires_at.timestamp(),
        )
        yield GaugeMetricFamily(
            "rainbow_certificate_unusable",
            "Whether the certificate's files changed and are not usable, so that the former one stays in use.",
            value=bool(self._state.trouble),
        )
