"""Write docs/screenshots/ from the demo's fleet and from Prometheus' pages; `make screenshots` runs it."""

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import ViewportSize

from tests.support.browser import CHROMIUM, DESK, PHONE, chromium, fill_with_demo, visit
from tests.support.prometheus_screenshots import shoot_prometheus
from tests.support.servers import ROOT, migrate, start_rainbow

FOLDER = ROOT / "docs" / "screenshots"
TALL = ViewportSize(width=1280, height=1150)
# What is shown, where, how large, and whether in the dark; what is below /my/ as a person.
SHOTS = [
    ("dashboard", "/admin/", TALL, False),
    ("dashboard-dark", "/admin/", TALL, True),
    ("dashboard-phone", "/admin/", PHONE, False),
    ("jobs", "/admin/jobs/job/?cluster=3", DESK, False),
    ("job", "/admin/jobs/job/?state=failed&cluster=3", TALL, False),
    ("waiting", "/admin/jobs/job/?state=queued&cluster=1", DESK, False),
    ("cluster", "/admin/clusters/cluster/1/change/", TALL, False),
    ("queues", "/admin/clusters/cluster/1/change/", DESK, False),
    ("pool", "/admin/clusters/cluster/13/change/", DESK, False),
    ("my-jobs", "/my/jobs/", DESK, False),
    ("my-job", "/my/jobs/?state=failed&whose=mine", TALL, True),
    ("my-cluster-phone", "/my/clusters/any-gpu/", PHONE, False),
]
# Those that show the newest job of the list.
OF_A_JOB = ("job", "waiting", "my-job")
# Those of one panel of a page.
PANELS = {"queues": "#queues"}


def main() -> None:
    if CHROMIUM is None:
        sys.exit("there is no Chromium on this machine: apt-get install chromium")
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/rainbow.db"
        migrate(url)
        fill_with_demo(url, jobs=20_000)
        server = start_rainbow(database_url=url, log=Path(folder) / "log", with_web=True)
        try:
            shoot(server.web)
        finally:
            server.stop()
    with chromium() as browser:
        shoot_prometheus(browser, FOLDER)


def shoot(address: str) -> None:
    with chromium() as browser:
        for name, path, size, dark in SHOTS:
            who = "ada" if path.startswith("/my/") else "operator"
            with visit(browser, address, path, who=who, size=size, dark=dark) as visiting:
                if name in OF_A_JOB:
                    visiting.page.locator("table.jobs tbody a").first.click()
                shown = visiting.page.locator(PANELS[name]) if name in PANELS else visiting.page
                shown.screenshot(path=FOLDER / f"{name}.png")


if __name__ == "__main__":
    main()
