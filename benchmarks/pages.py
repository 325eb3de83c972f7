"""The pages of the operators' room, opened as a browser would, one call at a time."""

import re
import subprocess
import time
from dataclasses import dataclass
from http.cookiejar import CookieJar
from statistics import quantiles
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, OpenerDirector, build_opener

from benchmarks.measure import Sample
from benchmarks.processor_time import machine_time, time_of_tree
from tests.servers import MANAGE, RainbowServer, environment_for

_ACCOUNT = {"username": "root", "password": "only-for-the-benchmark"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """A signed-in account's way to a server. `database_pid` is the database server's process; None for SQLite."""

    server: RainbowServer
    opener: OpenerDirector
    database_pid: int | None

    def open(self, path: str) -> str:
        with self.opener.open(self.server.web + path, timeout=300) as answer:
            text = answer.read().decode()
        return str(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A page to measure, beside others."""

    name: str
    path: str
    visitor: Visitor
    jobs: int = 0

    def measure(self, *, in_flight: int, seconds: float) -> Sample:
        """Opens it again and again, whatever `in_flight` says: an operator waits for one page at a time."""
        latencies: list[float] = []
        before, began, load = self._processor_times(), time.perf_counter(), time.process_time()
        while not latencies or time.perf_counter() - began < seconds:
            asked = time.perf_counter()
            self.visitor.open(self.path)
            latencies.append(time.perf_counter() - asked)
        lasted, after = time.perf_counter() - began, self._processor_times()
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

    def _processor_times(self) -> tuple[float, float, float, float]:
        """Of the server, of its database, of the whole machine, and what other machines took of it."""
        machine, pid = machine_time(), self.visitor.database_pid
        database = time_of_tree(pid) if pid else 0.0
        return time_of_tree(self.visitor.server.process.pid), database, machine.busy, machine.stolen


def add_account(url: str) -> None:
    """Makes the account that visitors sign in with. Once for each database."""
    words = ["createsuperuser", "--noinput", "--username", _ACCOUNT["username"], "--email", "root@localhost"]
    environment = environment_for(url, DJANGO_SUPERUSER_PASSWORD=_ACCOUNT["password"])
    subprocess.run([*MANAGE, *words], env=environment, check=True, stdout=subprocess.DEVNULL)


def sign_in(server: RainbowServer, *, database_pid: int | None) -> Visitor:
    visitor = Visitor(opener=build_opener(HTTPCookieProcessor(CookieJar())), server=server, database_pid=database_pid)
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', visitor.open("/admin/login/"))
    if token is None:
        raise RuntimeError("the login page has no form")
    form = urlencode({**_ACCOUNT, "csrfmiddlewaretoken": token[1], "next": "/admin/"}).encode()
    with visitor.opener.open(f"{server.web}/admin/login/", form, timeout=60) as answer:
        if "Log out" not in answer.read().decode():
            raise RuntimeError("signing in failed")
    return visitor
