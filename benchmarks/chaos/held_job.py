"""A job that runs for as long as a fault lasts, on a cluster of its own whose agent is silent meanwhile."""

from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.chaos.fleet import Fleet
from rainbow.client import Client
from rainbow.records import JobSpec, JobState
from rainbow.reports import JobReport

AGENT, CLUSTER = "holder", "held"
LEASE_SECONDS = 3_600


@contextmanager
def held_job(fleet: Fleet) -> Iterator[None]:
    """Fails if the job has any event but those of its run when it ends."""
    server = fleet.servers[0]
    with Client(server.address) as stranger:
        new = stranger.register(CLUSTER, registration_secret=server.registration_secret)
    with Client(server.address, cluster=CLUSTER, token=new.token, secret=new.secret) as client:
        job_id = client.submit_job(JobSpec(command="true")).jobid
        client.accept_jobs([job_id], agent=AGENT, lease_seconds=LEASE_SECONDS)
        _report(client, job_id, JobState.RUNNING)
        yield
        _report(client, job_id, JobState.COMPLETED)
        [job] = client.get_jobs([job_id], with_events=True).jobs
    assert [event.what for event in job.events] == ["submitted", "accepted", "started", "ended"], job.events


def _report(client: Client, job_id: int, state: JobState) -> None:
    ended = 0 if state == JobState.COMPLETED else None
    report = JobReport(jobid=job_id, attempt=1, state=state, native_id="1", exit_code=ended)
    [result] = client.report_jobs([report], agent=AGENT, lease_seconds=LEASE_SECONDS)
    assert result.jobid == job_id
