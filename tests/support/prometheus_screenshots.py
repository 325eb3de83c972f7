"""Pictures of Prometheus' own pages, while an agent works through a queue."""

import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.parse import urlencode

from playwright.sync_api import Browser, ViewportSize

from tests.support.patience import PATIENCE_SECONDS, wait_until
from tests.support.prometheus import PROMETHEUS, Monitored, monitored
from tests.support.servers import ROOT, environment_for

RULES = ROOT / "deploy" / "prometheus" / "rainbow.rules.yml"
JOBS, UNTIL = 60, 40
GRAPH = {"g0.expr": 'rainbow_jobs{state=~"queued|running|completed"}', "g0.tab": "0", "g0.range_input": "1m"}
TARGETS_SIZE, GRAPH_SIZE = ViewportSize(width=1280, height=560), ViewportSize(width=1280, height=860)


def shoot_prometheus(browser: Browser, shots: Path) -> None:
    if PROMETHEUS is None:
        sys.exit("there is no Prometheus on this machine: apt-get install prometheus")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with monitored(f"sqlite:///{folder}/rainbow.db", folder, rules=RULES) as running:
            _fill_the_queue(running, folder)
            wait_until(lambda: (running.value('rainbow_jobs{state="completed"}') or 0) >= UNTIL)
            # The classic pages: Debian's Prometheus has no others.
            _shoot(browser, f"{running.web}/classic/targets", TARGETS_SIZE, shots / "prometheus-targets.png")
            path = f"/classic/graph?{urlencode(GRAPH)}"
            _shoot(browser, f"{running.web}{path}", GRAPH_SIZE, shots / "prometheus-graph.png")


def _fill_the_queue(running: Monitored, folder: Path) -> None:
    lines = folder / "jobs.jsonl"
    lines.write_text('{"command": "sleep 1"}\n' * JOBS)
    rainbow = str(Path(sys.executable).with_name("rainbow"))
    words = ["--host", running.server.address, "--cluster-name", "keebler", "submit", "--file", str(lines)]
    environment = {**environment_for(running.server.database_url), "RAINBOW_CONFIG": str(folder / "config.toml")}
    subprocess.run([rainbow, *words], env=environment, check=True, timeout=PATIENCE_SECONDS)


def _shoot(browser: Browser, address: str, size: ViewportSize, file: Path) -> None:
    page = browser.new_page(viewport=size)
    page.goto(address, wait_until="networkidle")
    page.screenshot(path=file)
    page.close()
