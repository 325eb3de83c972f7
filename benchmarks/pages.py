"""The console's pages, opened one at a time as by a browser."""

import json
import re
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from http.cookiejar import CookieJar
from itertools import repeat
from typing import Any
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, OpenerDirector, Request, build_opener

from benchmarks.load import Load
from benchmarks.measure import Sample, Times, summarize
from tests.support.servers import environment_for

# Of Django, by default.
_CSRF_COOKIE = "csrftoken"
ACCOUNT = {"username": "root", "password": "only-for-the-benchmark"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """A signed-in account's way to a web server. `database_pid` is the database server's process; None for SQLite."""

    web: str
    opener: OpenerDirector
    cookies: CookieJar
    pid: int | None = None
    database_pid: int | None = None

    def open(self, path: str, *, bearer: str = "", method: str = "GET", content: Any = None) -> str:
        """`content` is sent as JSON."""
        headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
        body = None
        if content is not None:
            token = next(cookie.value or "" for cookie in self.cookies if cookie.name == _CSRF_COOKIE)
            headers |= {"Content-Type": "application/json", "X-CSRFToken": token}
            body = json.dumps(content).encode()
        request = Request(self.web + path, body, headers, method=method)
        with self.opener.open(request, timeout=300) as answer:
            text = answer.read().decode()
        return str(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    name: str
    path: str
    visitor: Visitor
    bearer: str = ""
    jobs: int = 0
    method: str = "GET"
    contents: Iterator[Any] = field(default_factory=partial(repeat, None))

    def measure(self, *, in_flight: int, seconds: float) -> Sample:
        """Open it repeatedly, whatever `in_flight` says: an operator waits for one page at a time."""
        latencies: list[float] = []
        before, began = self._times(), time.perf_counter()
        while not latencies or time.perf_counter() - began < seconds:
            asked = time.perf_counter()
            self.visitor.open(self.path, bearer=self.bearer, method=self.method, content=next(self.contents))
            latencies.append(time.perf_counter() - asked)
        load = Load(seconds=time.perf_counter() - began, latencies=latencies, failed=0)
        return summarize(load, self._times().since(before))

    def _times(self) -> Times:
        return Times.read(pid=self.visitor.pid, database_pid=self.visitor.database_pid)


def add_account(url: str, *, manage: Sequence[str]) -> None:
    """Create the visitors' account. Once for each database."""
    words = ["createsuperuser", "--noinput", "--username", ACCOUNT["username"], "--email", "root@localhost"]
    environment = environment_for(url, DJANGO_SUPERUSER_PASSWORD=ACCOUNT["password"])
    subprocess.run([*manage, *words], env=environment, check=True, stdout=subprocess.DEVNULL)


def sign_in(web: str, *, pid: int | None = None, database_pid: int | None = None) -> Visitor:
    cookies = CookieJar()
    opener = build_opener(HTTPCookieProcessor(cookies))
    visitor = Visitor(web=web, opener=opener, cookies=cookies, pid=pid, database_pid=database_pid)
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', visitor.open("/admin/login/"))
    if token is None:
        raise RuntimeError("the login page has no form")
    form = urlencode({**ACCOUNT, "csrfmiddlewaretoken": token[1], "next": "/admin/"}).encode()
    with visitor.opener.open(f"{web}/admin/login/", form, timeout=60) as answer:
        if "Log out" not in answer.read().decode():
            raise RuntimeError("signing in failed")
    return visitor
