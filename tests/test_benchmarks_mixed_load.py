"""The callers beside whom the benchmarks measure an honest one do what they are meant to."""

import uuid

from benchmarks.bench import OtherServer
from benchmarks.cluster import Cluster, register
from benchmarks.crowd import Crowd
from benchmarks.pages import add_account
from rainbow.client import Client
from rainbow.records import JobState
from tests.support.patience import wait_until
from tests.support.servers import MANAGE, RainbowServer


def test_a_crowd_submits_takes_watches_and_opens_pages(web_server: RainbowServer) -> None:
    add_account(web_server.database_url, manage=MANAGE)
    server = OtherServer(address=web_server.address, registration_secret=web_server.registration_secret)
    busy, watched = (register(server, f"{name}-{uuid.uuid4().hex}") for name in ("busy", "watched"))
    pages = _pages_opened(web_server)

    with Crowd(web=web_server.web, busy=busy, watched=watched, pause_seconds=0.05).at_work():
        wait_until(lambda: _completed(busy) > 20 and _completed(watched) > 20)
        wait_until(lambda: _pages_opened(web_server) > pages)


def _completed(cluster: Cluster) -> int:
    with Client(cluster.address, cluster=cluster.name, secret=cluster.secret) as client:
        return client.summarize_jobs().counts.get(JobState.COMPLETED, 0)


def _pages_opened(server: RainbowServer) -> int:
    return server.log.read_text().count("/admin/jobs/job/")
