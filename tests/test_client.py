"""The client against a real server."""

from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from rainbow.client import Client
from rainbow.errors import AlreadyExists, InvalidArgument, Unauthenticated
from rainbow.records import CancelOutcome, CredentialKind, JobSpec, JobState, OnLost, RefusalReason
from tests.support.servers import RainbowServer
from tests.support.wire import Remote

HOSTNAME = JobSpec(command="hostname")


@pytest.fixture
def client(server: RainbowServer, remote: Remote) -> Iterator[Client]:
    """Both a submitter and the cluster itself."""
    with Client(server.address, cluster=remote.name, token=remote.token, secret=remote.secret) as client:
        yield client


@pytest.fixture
def puller(server: RainbowServer, remote: Remote) -> Iterator[Client]:
    with Client(server.address, cluster=remote.name, secret=remote.secret) as client:
        yield client


def test_the_connection_is_tested_without_a_credential(server: RainbowServer) -> None:
    with Client(server.address) as client:
        echo = client.serial("hello")

    assert (echo.request_id, echo.processing_details) == ("hello", "processed successfully")
    assert echo.answered_at is not None


def test_a_name_is_registered_once(server: RainbowServer, remote: Remote) -> None:
    assert remote.token != remote.secret

    with Client(server.address) as client, pytest.raises(AlreadyExists, match="is registered"):
        client.register(remote.name, registration_secret=server.registration_secret)


def test_a_wrong_registration_secret_is_refused(server: RainbowServer) -> None:
    with Client(server.address) as client, pytest.raises(Unauthenticated, match="request denied"):
        client.register(f"c-{uuid4().hex}", registration_secret="wrong")


def test_a_job_goes_from_its_submitter_to_its_cluster(client: Client) -> None:
    queued = client.submit_job(JobSpec(command="echo <&> →", name="greet", nodes=2, tasks=4))
    waiting = client.request_jobs()
    taken = client.accept_jobs([queued.jobid])
    nothing = client.request_jobs()

    job = waiting.jobs[0]
    assert (job.id, job.name, job.command, job.nodes, job.tasks) == (queued.jobid, "greet", "echo <&> →", 2, 4)
    assert (queued.position, queued.duplicate) == (1, False)
    assert taken.complete
    assert [(job.jobid, job.attempt, job.lease_expires_at) for job in taken.accepted] == [(queued.jobid, 1, None)]
    assert nothing.jobs == ()


def test_everything_that_is_said_of_a_job_arrives(client: Client) -> None:
    spec = JobSpec(
        command="train",
        name="t",
        nodes=2,
        tasks=8,
        priority=5,
        time_limit_seconds=90,
        environment={"A": "1"},
        working_directory="/work",
        labels={"project": "demo"},
        idempotency_key="mine",
        on_lost=OnLost.REQUEUE,
    )

    queued = client.submit_job(spec)
    waiting = client.request_jobs().jobs[0]
    job = client.get_jobs([queued.jobid], with_events=True).jobs[0]

    shared = ("command", "name", "nodes", "tasks", "priority", "time_limit_seconds")
    shared += ("environment", "working_directory", "labels")
    for name in shared:
        assert getattr(waiting, name) == getattr(job, name) == getattr(spec, name), name
    assert (job.idempotency_key, job.on_lost, job.state) == ("mine", OnLost.REQUEUE, JobState.QUEUED)
    assert job.submitted_at is not None
    assert abs((datetime.now(UTC) - job.submitted_at).total_seconds()) < 60
    assert [event.what for event in job.events] == ["submitted"]


def test_the_same_key_makes_no_second_job(client: Client) -> None:
    spec = JobSpec(command="hostname", idempotency_key="mine")

    first, second = client.submit_job(spec), client.submit_job(spec)
    with pytest.raises(AlreadyExists):
        client.submit_job(JobSpec(command="other", idempotency_key="mine"))

    assert (second.jobid, second.duplicate) == (first.jobid, True)
    assert len(client.request_jobs().jobs) == 1


def test_of_many_jobs_the_wrong_ones_are_refused_and_the_others_queued(client: Client) -> None:
    answer = client.submit_jobs([HOSTNAME, JobSpec(command="hostname", nodes=0), HOSTNAME])

    good, bad, other = answer.results
    assert (good.position, other.position, bad.jobid) == (1, 2, 0)
    assert isinstance(bad.error, InvalidArgument)
    assert bad.error.field == "nodes"
    assert good.error is None


def test_a_wrong_field_is_named(client: Client) -> None:
    with pytest.raises(InvalidArgument) as caught:
        client.submit_job(JobSpec(command="hostname", nodes=0))

    assert caught.value.field == "nodes"


def test_a_request_takes_limits(client: Client) -> None:
    client.submit_jobs([JobSpec(command="a", nodes=4), JobSpec(command="b", labels={"x": "1"}), HOSTNAME])

    small = client.request_jobs(max_nodes=2, max_jobs=1)
    labelled = client.request_jobs(labels={"x": "1"})

    assert [job.command for job in small.jobs] == ["b"]
    assert [job.command for job in labelled.jobs] == ["b"]


def test_a_request_that_waits_is_answered_when_the_time_is_up(client: Client) -> None:
    assert client.request_jobs(wait_seconds=1).jobs == ()


def test_an_accept_says_which_jobs_were_refused_and_why(client: Client) -> None:
    jobid = client.submit_job(HOSTNAME).jobid

    taken = client.accept_jobs([jobid, jobid, 2**31 - 1])

    assert not taken.complete
    assert [job.jobid for job in taken.accepted] == [jobid]
    reasons = {(job.jobid, job.reason) for job in taken.refused}
    assert reasons == {(jobid, RefusalReason.REPEATED), (2**31 - 1, RefusalReason.NOT_FOUND)}


def test_an_agent_that_asks_twice_gets_its_jobs_twice(client: Client) -> None:
    jobid = client.submit_job(HOSTNAME).jobid

    first = client.accept_jobs([jobid], agent="login1", lease_seconds=60)
    second = client.accept_jobs([jobid], agent="login1", lease_seconds=60)

    assert first.complete
    assert second.complete
    assert first.accepted[0].lease_expires_at is not None


def test_jobs_are_listed_newest_first_over_all_pages(client: Client) -> None:
    ids = [result.jobid for result in client.submit_jobs([HOSTNAME] * 5).results]

    listed = [job.id for job in client.list_jobs(page_size=2)]

    assert listed == ids[::-1]


def test_a_list_takes_filters(client: Client) -> None:
    wanted = client.submit_job(JobSpec(command="a", name="n", labels={"x": "1"})).jobid
    client.submit_job(HOSTNAME)
    client.accept_jobs([wanted])

    by_state = client.list_jobs(states=[JobState.ACCEPTED])
    by_label = client.list_jobs(labels={"x": "1"})
    by_name = client.list_jobs(name="n")

    assert [[job.id for job in jobs] for jobs in (by_state, by_label, by_name)] == [[wanted]] * 3


def test_cancelling_says_what_became_of_each_job(client: Client) -> None:
    waiting, taken = [client.submit_job(HOSTNAME).jobid for _ in range(2)]
    client.accept_jobs([taken])

    first = client.cancel_jobs([waiting, taken, 2**31 - 1], reason="wrong input")
    second = client.cancel_jobs([waiting])

    outcomes = [result.outcome for result in [*first, *second]]
    assert outcomes == [
        CancelOutcome.CANCELLED,
        CancelOutcome.OUT_OF_REACH,
        CancelOutcome.NOT_FOUND,
        CancelOutcome.ALREADY_FINAL,
    ]


def test_a_summary_counts_by_state(client: Client, remote: Remote) -> None:
    ids = [client.submit_job(HOSTNAME).jobid for _ in range(3)]
    client.cancel_jobs(ids[:1])

    summary = client.summarize_jobs()

    assert (summary.cluster, summary.counts) == (remote.name, {JobState.QUEUED: 2, JobState.CANCELLED: 1})
    assert summary.oldest_submitted_at is not None


def test_a_credential_that_was_replaced_stops_working(client: Client, server: RainbowServer) -> None:
    new = client.rotate_credential(CredentialKind.TOKEN, grace_seconds=0)

    with pytest.raises(Unauthenticated, match="request denied"):
        client.submit_job(HOSTNAME)
    with Client(server.address, cluster=client.cluster, token=new.credential) as renewed:
        assert renewed.submit_job(HOSTNAME).jobid


def test_somebody_elses_job_is_not_there(client: Client, puller: Client, server: RainbowServer) -> None:
    jobid = client.submit_job(HOSTNAME).jobid
    with Client(server.address) as mallory:
        stranger = mallory.register(f"c-{uuid4().hex}", registration_secret=server.registration_secret)

    with Client(server.address, cluster=stranger.cluster, token=stranger.token) as mallory:
        found = mallory.get_jobs([jobid])

    assert (found.jobs, found.missing) == ((), (jobid,))
    assert puller.get_jobs([jobid]).jobs[0].id == jobid


def test_a_missing_credential_is_refused_with_what_is_missing(server: RainbowServer) -> None:
    with Client(server.address, cluster="keebler") as nobody:
        with pytest.raises(Unauthenticated, match="a cluster token is required"):
            nobody.submit_job(HOSTNAME)
        with pytest.raises(Unauthenticated, match="a cluster secret is required"):
            nobody.request_jobs()
