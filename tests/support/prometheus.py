"""A real Prometheus that scrapes a server and an agent."""

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen

from tests.support import processes
from tests.support.patience import PATIENCE_SECONDS
from tests.support.ports import free_port
from tests.support.servers import RainbowServer, environment_for, start_rainbow

PROMETHEUS = shutil.which("prometheus")
TOKEN = "a-token-for-the-tests-only"
CONFIGURATION = """
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: [{rules}]
scrape_configs:
  - job_name: rainbow
    authorization: {{credentials_file: {token}}}
    static_configs: [{{targets: ["{server}"]}}]
  - job_name: rainbow-agent
    authorization: {{credentials_file: {token}}}
    static_configs: [{{targets: ["{agent}"]}}]
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Monitored:
    """`web` is Prometheus' own address."""

    server: RainbowServer
    agent: subprocess.Popen[bytes]
    web: str

    def ask(self, path: str, **query: str) -> Any:
        """The data of an answer of its API; None while it does not answer."""
        try:
            with urlopen(f"{self.web}/api/v1/{path}?{urlencode(query)}", timeout=PATIENCE_SECONDS) as answer:
                return json.load(answer)["data"]
        except (URLError, ConnectionError):
            return None

    def health(self) -> Mapping[str, str]:
        found = self.ask("targets") or {"activeTargets": []}
        return {target["labels"]["job"]: target["health"] for target in found["activeTargets"]}

    def firing(self) -> set[str]:
        found = self.ask("alerts") or {"alerts": []}
        return {alert["labels"]["alertname"] for alert in found["alerts"] if alert["state"] == "firing"}

    def value(self, expression: str) -> float | None:
        found = (self.ask("query", query=expression) or {"result": []})["result"]
        return float(found[0]["value"][1]) if found else None


@contextmanager
def monitored(database_url: str, folder: Path, *, rules: Path) -> Iterator[Monitored]:
    """A server with its web door, an agent of a cluster of this machine, and a Prometheus that scrapes both."""
    token, addresses = folder / "token", [f"127.0.0.1:{free_port()}" for _ in range(3)]
    token.write_text(TOKEN)
    with ExitStack() as stack:
        metrics = {"RAINBOW_METRICS_ADDRESS": addresses[0], "RAINBOW_METRICS_TOKEN_FILE": str(token)}
        server = start_rainbow(database_url=database_url, log=folder / "log", with_web=True, environment=metrics)
        stack.callback(server.stop)
        agent = _agent(server, folder, addresses[1], token)
        stack.callback(processes.stop, agent, gently=signal.SIGTERM)
        settings = CONFIGURATION.format(rules=rules, token=token, server=addresses[0], agent=addresses[1])
        prometheus = _prometheus(folder, settings, addresses[2])
        stack.callback(processes.stop, prometheus, gently=signal.SIGTERM)
        yield Monitored(server=server, agent=agent, web=f"http://{addresses[2]}")


def _agent(server: RainbowServer, folder: Path, address: str, token: Path) -> subprocess.Popen[bytes]:
    rainbow = str(Path(sys.executable).with_name("rainbow"))
    environment = {**environment_for(server.database_url), "RAINBOW_CONFIG": str(folder / "config.toml")}
    words = ["--host", server.address, "--cluster-name", "keebler"]
    register = [rainbow, *words, "register", "--save", "--secret", server.registration_secret]
    subprocess.run(register, env=environment, check=True, timeout=PATIENCE_SECONDS, stdout=subprocess.DEVNULL)
    options = ["--executor", "local", "--state-dir", str(folder / "state"), "--slots", "1"]
    scrapes = ["--metrics-address", address, "--metrics-token-file", str(token)]
    command = [rainbow, *words, "agent", *options, *scrapes]
    return processes.start(command, log=folder / "agent.log", environment=environment)


def _prometheus(folder: Path, settings: str, address: str) -> subprocess.Popen[bytes]:
    (folder / "prometheus.yml").write_text(settings)
    command = [
        str(PROMETHEUS),
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'tsdb'}",
        f"--web.listen-address={address}",
    ]
    return processes.start(command, log=folder / "prometheus.log", end_with=signal.SIGTERM)
