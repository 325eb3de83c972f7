"""The metrics of a server with a certificate, and without web processes."""

from collections.abc import Callable
from pathlib import Path

from tests.support.certificates import make_certificate
from tests.support.metrics import scrape
from tests.support.ports import free_port
from tests.support.servers import RainbowServer
from tests.support.wire import eventually


def test_scrapes_are_encrypted_and_tell_when_the_certificate_ends(
    start_server: Callable[..., RainbowServer], tmp_path: Path
) -> None:
    certificate, key = make_certificate(tmp_path)
    address = f"127.0.0.1:{free_port()}"
    encryption = {"RAINBOW_TLS_CERT": str(certificate), "RAINBOW_TLS_KEY": str(key)}
    server = start_server(environment={"RAINBOW_METRICS_ADDRESS": address, **encryption})

    def processes() -> set[str]:
        scraped = scrape(address, trust=server.trust)
        return {labels["process"] for labels, _ in scraped.samples("rainbow_certificate_expiry_timestamp_seconds")}

    eventually(lambda: processes() == {"grpc-1", "metrics"})
    assert server.stop() == 0
