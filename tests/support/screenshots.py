"""Write docs/screenshots/ from the demo's fleet and from Prometheus' pages; `make screenshots` runs it."""

import sys
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import ViewportSize

from rainbow.client import Client
from rainbow.records import GroupWish, JobSpec
from rainbow.reports import JobReport
from rainbow.states import JobState
from tests.support.browser import CHROMIUM, DESK, PHONE, chromium, fill_with_demo, visit
from tests.support.patience import PATIENCE_SECONDS, wait_until
from tests.support.prometheus_screenshots import shoot_prometheus
from tests.support.servers import ROOT, RainbowServer, migrate, start_rainbow

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
    ("groups", "/admin/jobs/job/groups/", DESK, False),
    ("group", "/admin/jobs/job/groups/", DESK, False),
    ("my-jobs", "/my/jobs/", DESK, False),
    ("my-job", "/my/jobs/?state=failed&whose=mine", TALL, True),
    ("my-cluster-phone", "/my/clusters/any-gpu/", PHONE, False),
]
# Those that show the newest job of the list.
OF_A_JOB = ("job", "waiting", "my-job")
# That which shows the first group of the list with failures.
OF_A_GROUP = "group"
# Those of one panel of a page.
LAB = "astra"
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
            run_groups(server)
            shoot(server.web)
        finally:
            server.stop()
    with chromium() as browser:
        shoot_prometheus(browser, FOLDER)


def run_groups(server: RainbowServer) -> None:
    """A study that is done, one that goes, and one that waits, of a cluster of their own."""
    with Client(server.address) as stranger:
        made = stranger.register(LAB, registration_secret=server.registration_secret)
    known: dict[str, Any] = {"cluster": LAB, "token": made.token, "secret": made.secret}
    with Client(server.address, **known, timeout_seconds=PATIENCE_SECONDS) as client:
        for name, members, ended in (("grid search", 40, 40), ("learning rates", 60, 23), ("seeds", 24, 0)):
            specs = [JobSpec(command="./train", name=name, array_index=index) for index in range(members)]
            wish = GroupWish(name=name, at_once=max(8, ended), stop_after_failures=10)
            jobids = [result.jobid for result in client.submit_jobs(specs, group=wish).results]
            if ended:
                client.accept_jobs(jobids[:ended], agent="login1")
                client.report_jobs([end_of(jobid, index) for index, jobid in enumerate(jobids[:ended])], agent="login1")
        wait_until(lambda: next(iter(client.list_groups(going=True))).name == "seeds")


def end_of(jobid: int, index: int) -> JobReport:
    failed = index % 9 == 4
    state = JobState.FAILED if failed else JobState.COMPLETED
    return JobReport(
        jobid=jobid, attempt=1, state=state, exit_code=137 if failed else 0, reason="out of memory" if failed else ""
    )


def shoot(address: str) -> None:
    with chromium() as browser:
        for name, path, size, dark in SHOTS:
            who = "ada" if path.startswith("/my/") else "operator"
            with visit(browser, address, path, who=who, size=size, dark=dark) as visiting:
                if name in OF_A_JOB:
                    visiting.page.locator("table.jobs tbody a").first.click()
                if name == OF_A_GROUP:
                    visiting.page.locator("tbody tr", has_text="failed").first.locator("th a").click()
                shown = visiting.page.locator(PANELS[name]) if name in PANELS else visiting.page
                shown.screenshot(path=FOLDER / f"{name}.png")


if __name__ == "__main__":
    main()
