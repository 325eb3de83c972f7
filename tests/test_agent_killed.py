"""Killed at every step: the agent, the server, and the network between them. Every job runs exactly once."""

import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from rainbow.agent.context import Checkpoint
from rainbow.client import Client
from rainbow.records import Job, JobSpec, JobState
from tests.support.agents import Crew, Hesitant, crew
from tests.support.executors import lines_of
from tests.support.patience import PATIENCE_SECONDS
from tests.support.proxy import Proxy, proxy_before
from tests.support.servers import ROOT, RainbowServer
from tests.support.wire import Remote, joined

OUTAGE_SECONDS = 0.3
# A job that is withdrawn goes another way: tests/test_agent_withdraws_jobs.py, test_agent_slurm_killed.py.
MOMENTS = [moment for moment in Checkpoint if moment is not Checkpoint.WITHDRAWN]
COMMAND = "echo ran >> {ran}; exit 3"
# Steps of several jobs are noted together: the kill strikes among them.
BATCH = 3

Strike = Callable[[], None]


@pytest.fixture
def ran(tmp_path: Path) -> Path:
    """Where each job leaves a line."""
    return tmp_path / "ran"


def doomed(server: RainbowServer, remote: Remote, folder: Path, *doom: str) -> subprocess.Popen[bytes]:
    command = [
        sys.executable,
        "-m",
        "tests.support.doomed_agent",
        "local",
        server.address,
        remote.name,
        remote.secret,
        str(folder),
    ]
    return subprocess.Popen([*command, *doom], cwd=ROOT)


def holds_true(client: Client, jobids: list[int], ran: Path) -> None:
    """Each job ran once, in its first attempt, its record says how it ended, and nobody holds it any more."""
    jobs = client.get_jobs(jobids).jobs
    assert len(lines_of(ran)) == len(jobids)
    assert [_truth(job) for job in jobs] == [(JobState.FAILED, 3, 1, None)] * len(jobids)
    assert all(job.native_id.isdigit() for job in jobs)


def _truth(job: Job) -> tuple[object, ...]:
    return job.state, job.exit_code, job.attempt, job.lease_expires_at


@pytest.mark.parametrize("moment", MOMENTS, ids=lambda moment: moment.name.lower())
def test_an_agent_that_is_killed_when(
    server: RainbowServer, remote: Remote, moment: Checkpoint, tmp_path: Path, ran: Path
) -> None:
    with Client(server.address, cluster=remote.name, token=remote.token) as submitter:
        jobids = [remote.submit(COMMAND.format(ran=ran)).jobid for _ in range(BATCH)]

        first = doomed(server, remote, tmp_path / "state", moment.name)
        assert first.wait(PATIENCE_SECONDS) == -signal.SIGKILL
        again = doomed(server, remote, tmp_path / "state")

        assert again.wait(PATIENCE_SECONDS) == 0
        holds_true(submitter, jobids, ran)


def test_an_agent_that_is_killed_again_and_again_at_any_moment(
    server: RainbowServer, remote: Remote, tmp_path: Path, ran: Path
) -> None:
    chance = random.Random(7)
    jobids = [remote.submit(COMMAND.format(ran=ran)).jobid for _ in range(12)]
    for _ in range(6):
        agent = doomed(server, remote, tmp_path / "state")
        time.sleep(chance.uniform(0.4, 0.9))
        agent.kill()
        agent.wait()

    assert doomed(server, remote, tmp_path / "state").wait(PATIENCE_SECONDS) == 0

    with Client(server.address, cluster=remote.name, token=remote.token) as submitter:
        holds_true(submitter, jobids, ran)


def struck(crew: Crew, observer: Client, strike: Strike, moment: Checkpoint, ran: Path) -> int:
    """A job on whose way that happens, once, at that moment, and that came to its end."""
    left = [moment]

    def strike_once(now: Checkpoint) -> None:
        if now in left:
            left.remove(now)
            strike()

    crew.checkpoint = strike_once
    jobid = observer.submit_job(JobSpec(command=COMMAND.format(ran=ran))).jobid
    crew.work(lambda: not left)
    crew.work_for(OUTAGE_SECONDS)
    crew.work(lambda: observer.get_jobs([jobid]).jobs[0].finished_at and not crew.journal.unreported())
    return jobid


def watcher(server: RainbowServer, remote: Remote) -> Client:
    """Somebody who submits and looks, past all that is struck; as patient as it takes."""
    return Client(server.address, cluster=remote.name, token=remote.token, timeout_seconds=PATIENCE_SECONDS)


def later(act: Strike) -> None:
    threading.Timer(OUTAGE_SECONDS, act).start()


# All moments are minutes of servers that start: some of them in each run.
at_moments = pytest.mark.parametrize(
    "moments", [pytest.param(MOMENTS[1::3], id="some"), pytest.param(MOMENTS, id="all", marks=pytest.mark.long)]
)


@at_moments
def test_a_server_that_is_killed_when(
    start_server: Callable[..., RainbowServer], moments: list[Checkpoint], tmp_path: Path, ran: Path
) -> None:
    server = start_server()
    running = [server]

    def restart() -> None:
        running.append(start_server(database_url=server.database_url, address=server.address))

    def strike() -> None:
        running[-1].kill()
        hands.submit(restart)

    folder = tmp_path / "state"
    with (
        # One thread for all: what a thread started does not outlive it (tests/support/tied.py).
        ThreadPoolExecutor(1) as hands,
        joined(server) as remote,
        watcher(server, remote) as observer,
        crew(remote, server.address, folder, executor=Hesitant(folder)) as agent,
    ):
        jobids = []
        for moment in moments:
            jobids.append(struck(agent, observer, strike, moment, ran))
            agent.work(lambda: len(running) == len(jobids) + 1)

        holds_true(observer, jobids, ran)


@at_moments
@pytest.mark.parametrize("how", ["cut", "deaf"])
def test_a_network_that_fails_when(
    server: RainbowServer, remote: Remote, moments: list[Checkpoint], tmp_path: Path, ran: Path, how: str
) -> None:
    """Cut: nothing arrives. Deaf: what the agent sends arrives, and the answers get lost."""

    def strike(proxy: Proxy) -> None:
        (proxy.cut if how == "cut" else proxy.deafen)()
        later(proxy.mend)

    folder = tmp_path / "state"
    with (
        proxy_before(server.address) as proxy,
        watcher(server, remote) as observer,
        crew(remote, proxy.address, folder, executor=Hesitant(folder)) as agent,
    ):
        jobids = []
        for moment in moments:
            jobids.append(struck(agent, observer, lambda: strike(proxy), moment, ran))

        holds_true(observer, jobids, ran)
        assert how == "cut" or proxy.lost_bytes
