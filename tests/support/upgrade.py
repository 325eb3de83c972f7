"""A cluster on a server of an earlier release, with a job in each state."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from rainbow.client import Client
from rainbow.records import Job, JobEvent, JobSpec, JobState
from rainbow.reports import JobReport
from tests.support.patience import PATIENCE_SECONDS, wait_until
from tests.support.rows import execute
from tests.support.servers import RainbowServer
from tests.support.wire import eventually

AGENT = "login1"
LEASE_SECONDS = 3_600
# The jobs that an agent takes, and what it reports of each; None is nothing.
HELD = {
    "accepted": None,
    "running": JobState.RUNNING,
    "stopping": JobState.RUNNING,
    "completed": JobState.COMPLETED,
    "failed": JobState.FAILED,
    "lost": JobState.RUNNING,
    "requeued": None,
}
WAITING = ("large", "small", "tagged")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """A registered cluster, and its jobs by what became of each."""

    name: str
    token: str
    secret: str
    ids: dict[str, int]

    def client(self, server: RainbowServer) -> Client:
        return Client(
            server.address,
            cluster=self.name,
            token=self.token,
            secret=self.secret,
            timeout_seconds=PATIENCE_SECONDS,
        )

    def shown(self, server: RainbowServer) -> dict[int, Job]:
        """All of its jobs as a server shows them, without what depends on the time and on who else is there."""
        with self.client(server) as client:
            found = client.get_jobs(sorted(self.ids.values()), with_events=True).jobs
        return {
            job.id: replace(job, why_waiting="", prospects=(), lease_expires_at=None, events=_known_to_both(job))
            for job in found
        }


def _known_to_both(job: Job) -> tuple[JobEvent, ...]:
    """Its events, without what servers of the release before do not keep."""
    return tuple(replace(event, request_id="") for event in job.events)


def filled(server: RainbowServer, name: str) -> Cluster:
    with Client(server.address) as stranger:
        new = stranger.register(name, registration_secret=server.registration_secret)
    cluster = Cluster(name=name, token=new.token, secret=new.secret, ids={})
    with cluster.client(server) as client:
        _hold_jobs(client, cluster.ids)
        _end_leases(server, client, cluster.ids)
        _submit_others(client, cluster.ids)
    return cluster


@contextmanager
def submissions(server: RainbowServer, name: str) -> Iterator[Cluster]:
    """One after another to a cluster of this name, whose ids are those that were acknowledged. None may fail."""
    with Client(server.address) as stranger:
        new = stranger.register(name, registration_secret=server.registration_secret)
    cluster, over = Cluster(name=name, token=new.token, secret=new.secret, ids={}), threading.Event()

    def submit_often() -> None:
        with cluster.client(server) as client:
            while not over.is_set():
                number = str(len(cluster.ids))
                cluster.ids[number] = submit(client, number)

    with ThreadPoolExecutor(1) as threads:
        submitting = threads.submit(submit_often)
        wait_until(lambda: cluster.ids or submitting.done())
        try:
            yield cluster
        finally:
            over.set()
        submitting.result()


def _hold_jobs(client: Client, ids: dict[str, int]) -> None:
    for name in HELD:
        ids[name] = submit(client, name, environment={"WHO": "Müller"}, labels={"team": "x"})
    taken = client.accept_jobs(list(ids.values()), agent=AGENT, lease_seconds=LEASE_SECONDS).accepted
    assert {job.jobid for job in taken} == set(ids.values())
    report(client, *(told(ids[name], state) for name, state in HELD.items() if state))
    client.cancel_jobs([ids["stopping"]], reason="wrong input")


def _end_leases(server: RainbowServer, client: Client, ids: dict[str, int]) -> None:
    """The server makes one job lost, and lets the other wait again."""
    ended = [ids["lost"], ids["requeued"]]
    long_ago = datetime.now(UTC) - timedelta(hours=1)
    # A server begins by giving all leases their whole length.
    eventually(lambda: execute(server.database_url, "SELECT 1 FROM jobs_leasewatch"))
    execute(server.database_url, "UPDATE jobs_job SET lease_expires_at = %s WHERE id IN (%s, %s)", [long_ago, *ended])
    wanted = (JobState.LOST, JobState.QUEUED)
    eventually(lambda: tuple(job.state for job in client.get_jobs(ended).jobs) == wanted)


def _submit_others(client: Client, ids: dict[str, int]) -> None:
    ids["handed over"] = submit(client, "handed over")
    client.accept_jobs([ids["handed over"]])
    ids["cancelled"] = submit(client, "cancelled")
    client.cancel_jobs([ids["cancelled"]])
    ids["large"] = submit(client, "large", nodes=16, priority=5)
    ids["small"] = submit(client, "small")
    ids["tagged"] = submit(client, "tagged", labels={"team": "y"}, time_limit_seconds=60)


def submit(client: Client, name: str, **more: object) -> int:
    return client.submit_job(JobSpec(command="true", name=name, **more)).jobid  # type: ignore[arg-type]


def told(jobid: int, state: JobState, attempt: int = 1) -> JobReport:
    ended = {JobState.COMPLETED: 0, JobState.FAILED: 7}.get(state)
    return JobReport(jobid=jobid, attempt=attempt, state=state, native_id="17", exit_code=ended, output="done\n")


def report(client: Client, *reports: JobReport) -> None:
    results = client.report_jobs(reports, agent=AGENT, lease_seconds=LEASE_SECONDS)
    assert {result.jobid for result in results} == {one.jobid for one in reports}
