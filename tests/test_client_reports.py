"""Telling how jobs go, and watching them, by the client."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import grpc
import pytest

from rainbow.client import Client
from rainbow.errors import InvalidArgument, NotFound, RainbowError, Unavailable
from rainbow.protos import rainbow_pb2 as pb
from rainbow.records import EndCause, JobSpec, JobState
from rainbow.reports import JobReport, ReportOutcome
from rainbow.watch_stream import follow
from tests.support.rehearsed import Clock, Rehearse
from tests.support.servers import RainbowServer

HOSTNAME = JobSpec(command="hostname")
RUNNING = JobReport(jobid=1, attempt=1, state=JobState.RUNNING)


@pytest.fixture
def client(server: RainbowServer) -> Iterator[Client]:
    """Both a submitter and the cluster itself."""
    with Client(server.address) as stranger:
        new = stranger.register(f"c-{uuid4().hex}", registration_secret=server.registration_secret)
    with Client(server.address, cluster=new.cluster, token=new.token, secret=new.secret) as client:
        yield client


def accepted(client: Client) -> int:
    jobid = client.submit_job(HOSTNAME).jobid
    client.accept_jobs([jobid], agent="login1")
    return jobid


def test_all_that_a_report_says_arrives(client: Client) -> None:
    jobid = accepted(client)
    started_at = datetime.now(UTC)
    report = JobReport(
        jobid=jobid,
        attempt=1,
        state=JobState.FAILED,
        native_id="ƒ7",
        exit_code=7,
        end_cause=EndCause.EXIT,
        reason="ended with exit code 7",
        output="so far\n",
        started_at=started_at,
        finished_at=started_at + timedelta(microseconds=1),
    )

    (result,) = client.report_jobs([report], agent="login1", lease_seconds=60)
    (job,) = client.get_jobs([jobid]).jobs

    assert (result.jobid, result.outcome, result.cancel) == (jobid, ReportOutcome.COUNTED, False)
    assert (job.state, job.native_id, job.exit_code) == (JobState.FAILED, "ƒ7", 7)
    assert job.end_cause == EndCause.EXIT
    assert (job.reason, job.output) == ("ended with exit code 7", "so far\n")
    assert job.started_at and job.finished_at and job.started_at <= job.finished_at


def test_each_report_has_its_outcome(client: Client) -> None:
    jobid = accepted(client)
    client.cancel_jobs([jobid])
    ours = replace(RUNNING, jobid=jobid)

    results = client.report_jobs([ours, replace(ours, attempt=2), replace(ours, jobid=2**31 - 1)], agent="login1")

    assert [(result.outcome, result.cancel) for result in results] == [
        (ReportOutcome.COUNTED, True),
        (ReportOutcome.STALE, True),
        (ReportOutcome.UNKNOWN, True),
    ]


def test_a_cluster_says_why_it_takes_nothing_and_pauses_itself(client: Client) -> None:
    client.report_jobs([], agent="login1", not_ready="no node is in service")
    client.report_jobs([], agent="login1", pause="all jobs fail at once")

    assert client.summarize_jobs().paused == "all jobs fail at once"


def test_a_report_is_repeated_until_it_is_heard(rehearse: Rehearse) -> None:
    heard = pb.ReportJobsResponse(results=[pb.ReportResult(jobid=1, outcome=pb.ReportResult.OUTCOME_COUNTED)])
    server, client = rehearse(grpc.StatusCode.UNAVAILABLE, heard)

    client.report_jobs([RUNNING], agent="login1")

    assert [len(request.reports) for request in server.asked] == [1, 1]
    assert {metadata["authorization"] for metadata in server.metadata} == {"Bearer the-secret"}


def test_an_answer_that_leaves_a_report_out_makes_no_sense(rehearse: Rehearse) -> None:
    _, client = rehearse(pb.ReportJobsResponse())

    with pytest.raises(RainbowError, match="does not understand"):
        client.report_jobs([RUNNING], agent="login1")


def test_what_the_wire_cannot_carry_is_refused(client: Client) -> None:
    with pytest.raises(InvalidArgument, match="cannot be sent"):
        client.report_jobs([replace(RUNNING, jobid=2**40)], agent="login1")


def test_a_request_is_answered_while_somebody_does_other_things(client: Client) -> None:
    pending = client.begin_request(max_jobs=1, wait_seconds=300, max_nodes=4, max_tasks=4)
    assert not pending.done()

    jobid = client.submit_job(HOSTNAME).jobid

    assert [job.id for job in pending.result().jobs] == [jobid]
    assert pending.done()


def test_a_failed_request_says_why(server: RainbowServer) -> None:
    with Client(server.address, cluster="nowhere", secret="wrong") as stranger:
        pending = stranger.begin_request(max_jobs=1, wait_seconds=0, max_nodes=1, max_tasks=1)

        with pytest.raises(RainbowError, match="request denied"):
            pending.result()


def test_a_watcher_sees_each_step_and_the_end(client: Client) -> None:
    jobid = client.submit_job(HOSTNAME).jobid
    watched = client.watch_jobs([jobid, jobid])
    seen = [next(watched).state]

    client.accept_jobs([jobid], agent="login1")
    seen.append(next(watched).state)
    client.report_jobs([replace(RUNNING, jobid=jobid)], agent="login1")
    seen.append(next(watched).state)
    client.report_jobs([replace(RUNNING, jobid=jobid, state=JobState.COMPLETED)], agent="login1")
    seen += [job.state for job in watched]

    assert seen == [JobState.QUEUED, JobState.ACCEPTED, JobState.RUNNING, JobState.COMPLETED]


def test_somebody_elses_job_cannot_be_watched(client: Client) -> None:
    with pytest.raises(NotFound):
        next(client.watch_jobs([2**31 - 1]))


class Streams:
    """Streams that end early, one after the other."""

    def __init__(self, *streams: list[Any]) -> None:
        self.left = list(streams)
        self.asked: list[list[int]] = []

    def __call__(self, jobids: Any) -> Iterator[Any]:
        self.asked.append(list(jobids))
        for item in self.left.pop(0) if self.left else [Unavailable("away")]:
            if isinstance(item, Exception):
                raise item
            yield item


@pytest.fixture
def job(client: Client) -> Any:
    jobid = client.submit_job(HOSTNAME).jobid
    return client.get_jobs([jobid]).jobs[0]


def test_a_stream_that_ends_early_is_opened_again_for_what_is_left(job: Any, clock: Clock) -> None:
    done, other = replace(job, state=JobState.COMPLETED), replace(job, id=job.id + 1)
    over = replace(other, state=JobState.FAILED)
    streams = Streams([job, other, done], [Unavailable("away")], [other, over])

    seen = list(follow(streams, [job.id, other.id], retries=clock.retries(), first_seconds=10))

    assert seen == [job, other, done, over]
    assert streams.asked == [[job.id, other.id], [other.id], [other.id]]
    assert 0 < clock.now < 1


def test_a_server_that_stays_away_is_given_up(job: Any, clock: Clock) -> None:
    with pytest.raises(Unavailable):
        list(follow(Streams(), [job.id], retries=clock.retries(), first_seconds=10))
    at_first = clock.now

    with pytest.raises(Unavailable):
        list(follow(Streams([job]), [job.id], retries=clock.retries(), first_seconds=10))

    assert at_first <= 10
    assert 250 < clock.now - at_first <= 300
