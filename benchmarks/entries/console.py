"""The cost of the console's pages at a million jobs, beside Django's stock admin over the same rows."""

import subprocess
from collections.abc import Sequence
from dataclasses import replace

import psycopg

from benchmarks.bench import Bench
from benchmarks.measure import compare
from benchmarks.pages import Page, add_account, sign_in
from benchmarks.report import Report
from tests.support.servers import environment_for, start_rainbow

CLUSTERS, JOBS = 200, 1_000_000
# The first is what the others are compared with.
PAGES = [
    ("stock: jobs", "/stock/jobs/job/"),
    ("stock: lost jobs", "/stock/jobs/job/?state__exact=lost"),
    ("stock: jobs with a text", "/stock/jobs/job/?q=nosuchtext"),
    ("stock: a job", f"/stock/jobs/job/{JOBS // 2}/change/"),
    ("dashboard", "/admin/"),
    ("clusters", "/admin/clusters/cluster/"),
    ("a cluster", "/admin/clusters/cluster/1/change/"),
    ("jobs", "/admin/jobs/job/"),
    ("jobs, a late page", f"/admin/jobs/job/?last={JOBS // 5}"),
    ("lost jobs", "/admin/jobs/job/?state=lost"),
    ("jobs of a cluster", "/admin/jobs/job/?cluster=1"),
    ("jobs with a label", "/admin/jobs/job/?label=project%3Dclimate"),
    ("jobs with a text", "/admin/jobs/job/?text=nosuchtext"),
    ("a job", f"/admin/jobs/job/{JOBS // 2}/change/"),
]


def measure(bench: Bench) -> Report:
    url = bench.databases.new()
    _fill(url, bench.manage)
    server = start_rainbow(
        database_url=url,
        log=bench.folder / "console.log",
        with_web=True,
        environment={"DJANGO_SETTINGS_MODULE": "benchmarks.stock_settings", "RAINBOW_LOG_LEVEL": "WARNING"},
        manage=bench.manage,
    )
    try:
        visitor = sign_in(server.web, pid=server.process.pid, database_pid=bench.databases.pid)
        pages = [Page(name=name, path=path, visitor=visitor) for name, path in PAGES]
        rows = compare(pages, replace(bench.plan, in_flight=(1,)))
    finally:
        server.stop()
    return Report(title=f"Pages at {JOBS:,} jobs of {CLUSTERS} clusters", yardstick=PAGES[0][0], rows=rows)


def _fill(url: str, manage: Sequence[str]) -> None:
    for words in (["migrate", "--verbosity=0"], ["demo", f"--jobs={JOBS}", f"--clusters={CLUSTERS}"]):
        subprocess.run([*manage, *words], env=environment_for(url), check=True, stdout=subprocess.DEVNULL)
    add_account(url, manage=manage)
    if url.startswith("postgresql"):
        # Autovacuum would, within a minute.
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("ANALYZE")
