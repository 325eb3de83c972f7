"""The callers beside whom the benchmarks measure an honest one do what they are meant to."""

import os
import signal
import sys
import uuid
from subprocess import Popen

from benchmarks.bench import OtherServer
from benchmarks.cluster import Cluster, register
from benchmarks.crowd import Crowd
from benchmarks.entries.mixed_load import Spent
from benchmarks.pages import add_account
from benchmarks.processor_time import waits_of_tree
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


def test_what_was_spent_says_whether_the_machine_was_saturated() -> None:
    available = os.cpu_count() or 1

    idle = Spent(seconds=10.0, server=1.0, callers=0.5, busy=2.0, waited=0.1)
    full = Spent(seconds=10.0, server=1.0, callers=0.5, busy=9.5 * available, waited=8.0)

    assert "waited for a processor for 0.1 of 10.0 s" in str(idle)
    assert (idle.is_saturated, full.is_saturated) == (False, True)
    assert "(!)" in str(full)


def test_threads_that_share_a_processor_wait_for_it() -> None:
    processor = min(os.sched_getaffinity(0))
    busy = f"import os; os.sched_setaffinity(0, [{processor}]); os.fork(); [None for _ in iter(int, 1)]"
    with Popen([sys.executable, "-c", busy], start_new_session=True) as process:
        wait_until(lambda: waits_of_tree(process.pid) > 0.05)
        os.killpg(process.pid, signal.SIGKILL)


def _completed(cluster: Cluster) -> int:
    with Client(cluster.address, cluster=cluster.name, secret=cluster.secret) as client:
        return client.summarize_jobs().counts.get(JobState.COMPLETED, 0)


def _pages_opened(server: RainbowServer) -> int:
    return server.log.read_text().count("/admin/jobs/job/")
