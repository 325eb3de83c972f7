"""Metrics as Prometheus reads them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPSConnection
from ssl import SSLContext

from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from tests.support.patience import PATIENCE_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Scraped:
    status: int
    headers: Mapping[str, str]
    text: str

    def families(self) -> dict[str, Metric]:
        return {family.name: family for family in text_string_to_metric_families(self.text)}

    def values(self, name: str, **labels: str) -> list[float]:
        return [value for _, value in self.samples(name, **labels)]

    def total(self, name: str, **labels: str) -> float:
        return sum(self.values(name, **labels))

    def samples_by_process(self, name: str) -> dict[str, float]:
        return {labels["process"]: value for labels, value in self.samples(name)}

    def samples(self, name: str, **labels: str) -> Iterator[tuple[dict[str, str], float]]:
        for family in text_string_to_metric_families(self.text):
            for sample in family.samples:
                if sample.name == name and labels.items() <= sample.labels.items():
                    yield sample.labels, sample.value


def scrape(
    address: str, *, token: str = "", path: str = "/metrics", method: str = "GET", trust: SSLContext | None = None
) -> Scraped:
    connection = (
        HTTPSConnection(address, timeout=PATIENCE_SECONDS, context=trust)
        if trust
        else HTTPConnection(address, timeout=PATIENCE_SECONDS)
    )
    try:
        connection.request(method, path, headers={"Authorization": f"Bearer {token}"} if token else {})
        answer = connection.getresponse()
        headers = {name.lower(): value for name, value in answer.getheaders()}
        return Scraped(status=answer.status, headers=headers, text=answer.read().decode())
    finally:
        connection.close()
