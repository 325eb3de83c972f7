"""What the pages of the operators' room cost at a million jobs, beside Django's stock admin over the same rows."""

import re
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from http.cookiejar import CookieJar
from statistics import quantiles
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, OpenerDirector, build_opener

import psycopg

from benchmarks.bench import Bench
from benchmarks.measure import Row, Sample
from benchmarks.processor_time import machine_time, time_of_tree
from benchmarks.report import Report
from tests.servers import MANAGE, RainbowServer, environment_for, start_rainbow

CLUSTERS, JOBS = 200, 1_000_000
_ACCOUNT = {"username": "root", "password": "only-for-the-benchmark"}
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Visitor:
    """A signed-in account's way to a server."""

    opener: OpenerDirector
    server: RainbowServer
    database_pid: int | None

    def open(self, path: str) -> str:
        with self.opener.open(self.server.web + path, timeout=300) as answer:
            text = answer.read().decode()
        return str(text)


def measure(bench: Bench) -> Report:
    url = bench.databases.new()
    _fill(url)
    server = start_rainbow(
        database_url=url,
        log=bench.folder / "room.log",
        with_web=True,
        environment={"DJANGO_SETTINGS_MODULE": "benchmarks.stock_settings", "RAINBOW_LOG_LEVEL": "WARNING"},
    )
    try:
        rows = _compare(_signed_in(server, bench.databases.pid), bench)
    finally:
        server.stop()
    return Report(title=f"Pages at {JOBS:,} jobs of {CLUSTERS} clusters", yardstick=PAGES[0][0], rows=rows)


def _fill(url: str) -> None:
    for words in (
        ["migrate", "--verbosity=0"],
        ["demo", f"--jobs={JOBS}", f"--clusters={CLUSTERS}"],
        ["createsuperuser", "--noinput", "--username", _ACCOUNT["username"], "--email", "root@localhost"],
    ):
        environment = environment_for(url, DJANGO_SUPERUSER_PASSWORD=_ACCOUNT["password"])
        subprocess.run([*MANAGE, *words], env=environment, check=True, stdout=subprocess.DEVNULL)
    if url.startswith("postgresql"):
        # Autovacuum would, within a minute.
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("ANALYZE")


def _signed_in(server: RainbowServer, database_pid: int | None) -> _Visitor:
    visitor = _Visitor(opener=build_opener(HTTPCookieProcessor(CookieJar())), server=server, database_pid=database_pid)
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', visitor.open("/admin/login/"))
    if token is None:
        raise RuntimeError("the login page has no form")
    form = urlencode({**_ACCOUNT, "csrfmiddlewaretoken": token[1], "next": "/admin/"}).encode()
    with visitor.opener.open(f"{server.web}/admin/login/", form, timeout=60) as answer:
        if "Log out" not in answer.read().decode():
            raise RuntimeError("signing in failed")
    return visitor


def _compare(visitor: _Visitor, bench: Bench) -> list[Row]:
    """The pages in turn, round after round, one call at a time; the first look at each does not count."""
    for _, path in PAGES:
        visitor.open(path)
    rounds = [[_sample(visitor, path, bench.plan.seconds) for _, path in PAGES] for _ in range(bench.plan.rounds)]
    columns: Sequence[list[Sample]] = [list(samples) for samples in zip(*rounds, strict=True)]
    return [
        Row(name=name, in_flight=1, samples=samples, yardstick=columns[0])
        for (name, _), samples in zip(PAGES, columns, strict=True)
    ]


def _sample(visitor: _Visitor, path: str, seconds: float) -> Sample:
    latencies: list[float] = []
    before, began, load = _processor_times(visitor), time.perf_counter(), time.process_time()
    while not latencies or time.perf_counter() - began < seconds:
        asked = time.perf_counter()
        visitor.open(path)
        latencies.append(time.perf_counter() - asked)
    lasted, after = time.perf_counter() - began, _processor_times(visitor)
    server, database, busy, stolen = (end - start for start, end in zip(before, after, strict=True))
    load = time.process_time() - load
    percentiles = quantiles(latencies, n=100) if len(latencies) > 1 else latencies * 99
    return Sample(
        calls=len(latencies),
        failed=0,
        seconds=lasted,
        p50=percentiles[49],
        p99=percentiles[98],
        server_time=server,
        database_time=database,
        load_time=load,
        others_time=max(0.0, busy - server - database - load),
        stolen_time=stolen,
    )


def _processor_times(visitor: _Visitor) -> tuple[float, float, float, float]:
    """Of the server, of its database, of the whole machine, and what other machines took of it."""
    machine = machine_time()
    database = time_of_tree(visitor.database_pid) if visitor.database_pid else 0.0
    return time_of_tree(visitor.server.process.pid), database, machine.busy, machine.stolen
