"""Watching jobs through real servers: every step once, as soon as it happens, until all are over."""

import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import grpc
import pytest

from rainbow.protos import rainbow_pb2 as pb
from tests.support.patience import PATIENCE_SECONDS
from tests.support.rows import add_token
from tests.support.servers import RainbowServer, start_rainbow
from tests.support.wire import Remote, bearer, connected, joined, refusal_in, refusal_of

QUEUED, ACCEPTED, RUNNING = pb.JOB_STATE_QUEUED, pb.JOB_STATE_ACCEPTED, pb.JOB_STATE_RUNNING
COMPLETED, FAILED, CANCELLED = pb.JOB_STATE_COMPLETED, pb.JOB_STATE_FAILED, pb.JOB_STATE_CANCELLED
# Long enough for a word that should not come.
SILENCE_SECONDS = 0.5


class Watching:
    """A stream that is read by a thread of its own, so that a test can wait for a while and no longer."""

    def __init__(self, cluster: Remote, *ids: int, by: str = "") -> None:
        metadata = bearer(by or cluster.token)
        self.call = cluster.stub.WatchJobs(pb.WatchJobsRequest(jobids=ids), metadata=metadata, timeout=PATIENCE_SECONDS)
        self._seen: queue.Queue[Any] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        try:
            for answer in self.call:
                self._seen.put((answer.job.id, answer.job.state))
            self._seen.put("the end")
        except grpc.RpcError as error:
            self._seen.put(error)

    def next(self) -> Any:
        return self._seen.get(timeout=PATIENCE_SECONDS)

    def rest(self) -> list[Any]:
        """All that comes up to the end."""
        return list(iter(self.next, "the end"))

    @property
    def silent(self) -> bool:
        try:
            return not self._seen.get(timeout=SILENCE_SECONDS)
        except queue.Empty:
            return True


@pytest.fixture
def watch() -> Iterator[Callable[..., Watching]]:
    """Watch jobs; what is still watched after the test is given up."""
    with ExitStack() as stack:

        def start(cluster: Remote, *ids: int, **options: Any) -> Watching:
            watching = Watching(cluster, *ids, **options)
            stack.callback(watching.call.cancel)
            return watching

        yield start


def report(cluster: Remote, job_id: int, state: int, **said: Any) -> pb.ReportResult:
    reports = [pb.JobReport(jobid=job_id, attempt=1, state=state, **said)]
    request = pb.ReportJobsRequest(agent="agent-1", reports=reports)
    (result,) = cluster.stub.ReportJobs(request, metadata=cluster.by_secret, timeout=PATIENCE_SECONDS).results
    return result


def running(cluster: Remote) -> int:
    job_id = cluster.submit().jobid
    cluster.accept(job_id, agent="agent-1")
    report(cluster, job_id, RUNNING)
    return job_id


def test_a_watcher_sees_how_the_jobs_are_and_every_step_once(remote: Remote, watch: Callable[..., Watching]) -> None:
    first, second = remote.submit().jobid, running(remote)

    seen = watch(remote, first, second)

    assert [seen.next(), seen.next()] == [(first, QUEUED), (second, RUNNING)]
    remote.accept(first, agent="agent-1")
    assert seen.next() == (first, ACCEPTED)
    report(remote, second, COMPLETED)
    assert seen.next() == (second, COMPLETED)
    report(remote, first, RUNNING)
    assert seen.next() == (first, RUNNING)
    report(remote, first, RUNNING)
    report(remote, first, FAILED, exit_code=7)
    assert seen.rest() == [(first, FAILED)]


def test_the_stream_ends_at_once_where_all_is_over(remote: Remote, watch: Callable[..., Watching]) -> None:
    done, cancelled = running(remote), remote.submit().jobid
    report(remote, done, COMPLETED)
    remote.stub.CancelJobs(pb.CancelJobsRequest(jobids=[cancelled]), metadata=remote.by_token, timeout=PATIENCE_SECONDS)

    seen = watch(remote, done, cancelled, done)

    assert seen.rest() == [(done, COMPLETED), (cancelled, CANCELLED)]


def test_what_is_shown_leaves_out_what_may_be_long_and_the_lease(remote: Remote) -> None:
    job_id = remote.submit(environment={"A": "b"}, name="n").jobid
    remote.accept(job_id, agent="agent-1")
    report(remote, job_id, COMPLETED, output="x" * 1_000, native_id="77")

    request = pb.WatchJobsRequest(jobids=[job_id])
    (answer,) = remote.stub.WatchJobs(request, metadata=remote.by_token, timeout=PATIENCE_SECONDS)

    assert (answer.job.name, answer.job.native_id, answer.job.agent) == ("n", "77", "agent-1")
    assert (answer.job.output, dict(answer.job.environment), answer.job.HasField("lease_expires_at")) == ("", {}, False)


def test_a_sign_of_life_is_no_step(remote: Remote, watch: Callable[..., Watching]) -> None:
    job_id = running(remote)
    seen = watch(remote, job_id)
    assert seen.next() == (job_id, RUNNING)

    report(remote, job_id, RUNNING)

    assert seen.silent


@pytest.mark.parametrize("by", ["token", "secret"])
def test_nothing_is_shown_where_a_job_is_missing(
    remote: Remote, other_remote: Remote, server: RainbowServer, by: str
) -> None:
    other = f"another-token-of-{remote.name}"
    add_token(server.database_url, remote.name, label="other", value=other)
    mine, theirs, others = remote.submit().jobid, other_remote.submit().jobid, remote.submit(token=other).jobid
    hidden = [theirs, 2**31 - 1, 0, -1, *([others] if by == "token" else [])]

    for job_id in hidden:
        request = pb.WatchJobsRequest(jobids=[mine, job_id])
        stream = remote.stub.WatchJobs(request, metadata=bearer(getattr(remote, by)), timeout=PATIENCE_SECONDS)
        with pytest.raises(grpc.RpcError) as caught:
            next(stream)
        refusal = refusal_in(caught.value)
        assert (refusal.code, refusal.text, refusal.field) == (
            grpc.StatusCode.NOT_FOUND,
            f"jobids: there is no such job: {job_id}",
            "jobids",
        )


@pytest.mark.parametrize("number", [0, 1_001])
def test_one_to_a_thousand_jobs_can_be_watched(remote: Remote, number: int) -> None:
    def watch_all(request: pb.WatchJobsRequest, **options: Any) -> Any:
        return next(remote.stub.WatchJobs(request, metadata=remote.by_token, **options))

    refusal = refusal_of(watch_all, pb.WatchJobsRequest(jobids=range(1, number + 1)))

    assert (refusal.code, refusal.field) == (grpc.StatusCode.INVALID_ARGUMENT, "jobids")


def test_many_watchers_see_every_step(remote: Remote, server: RainbowServer, watch: Callable[..., Watching]) -> None:
    job_id = remote.submit().jobid
    watchers = [watch(remote, job_id, by=[remote.token, remote.secret][number % 2]) for number in range(50)]
    assert {seen.next() for seen in watchers} == {(job_id, QUEUED)}

    remote.accept(job_id, agent="agent-1")
    accepted = {seen.next() for seen in watchers}
    report(remote, job_id, COMPLETED)

    assert accepted == {(job_id, ACCEPTED)}
    assert [seen.rest() for seen in watchers] == [[(job_id, COMPLETED)]] * 50


def test_a_thousand_jobs_are_watched_by_one(remote: Remote, watch: Callable[..., Watching]) -> None:
    answer = remote.submit_many(*[pb.JobSpec(nodes=1, command="x")] * 1_000)
    ids = [result.jobid for result in answer.results]
    seen = watch(remote, *ids)
    assert [seen.next() for _ in ids] == [(job_id, QUEUED) for job_id in ids]

    remote.stub.CancelJobs(pb.CancelJobsRequest(jobids=ids), metadata=remote.by_token, timeout=PATIENCE_SECONDS)

    assert seen.rest() == [(job_id, CANCELLED) for job_id in ids]


def test_a_silent_stream_lives_on(remote: Remote, watch: Callable[..., Watching]) -> None:
    job_id = running(remote)
    seen = watch(remote, job_id)
    assert seen.next() == (job_id, RUNNING)

    assert seen.silent
    report(remote, job_id, COMPLETED)

    assert seen.rest() == [(job_id, COMPLETED)]


def test_a_credential_that_is_replaced_ends_the_stream(remote: Remote, watch: Callable[..., Watching]) -> None:
    job_id = running(remote)
    seen = watch(remote, job_id)
    assert seen.next() == (job_id, RUNNING)
    request = pb.RotateCredentialRequest(kind=pb.CREDENTIAL_KIND_TOKEN, grace_seconds=0)
    remote.stub.RotateCredential(request, metadata=remote.by_secret, timeout=PATIENCE_SECONDS)

    report(remote, job_id, COMPLETED)

    assert refusal_in(seen.next()).code == grpc.StatusCode.UNAUTHENTICATED


def test_a_server_that_stops_ends_its_streams(
    start_server: Callable[..., RainbowServer], watch: Callable[..., Watching]
) -> None:
    server = start_server()
    with joined(server) as remote:
        job_id = remote.submit().jobid
        watchers = [watch(remote, job_id) for _ in range(5)]
        assert {seen.next() for seen in watchers} == {(job_id, QUEUED)}

        exit_code = server.stop()

        assert [seen.rest() for seen in watchers] == [[]] * 5
    assert exit_code == 0


# What happens on another server


@pytest.fixture(scope="module")
def pair(new_database: Callable[[], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[RainbowServer]]:
    """Two servers on one database."""
    database_url, folder = new_database(), tmp_path_factory.mktemp("pair")
    with ExitStack() as stack:
        servers = []
        for number in (1, 2):
            servers.append(start_rainbow(database_url=database_url, log=folder / f"log{number}"))
            stack.callback(servers[-1].stop)
        yield servers


def test_what_is_reported_on_another_server_is_seen(pair: list[RainbowServer], watch: Callable[..., Watching]) -> None:
    here, there = pair
    with joined(here) as remote, connected(there.address) as stub:
        other = Remote(name=remote.name, token=remote.token, secret=remote.secret, stub=stub)
        job_id = remote.submit().jobid
        seen = watch(remote, job_id)
        assert seen.next() == (job_id, QUEUED)

        other.accept(job_id, agent="agent-1")
        assert seen.next() == (job_id, ACCEPTED)
        report(other, job_id, RUNNING)
        assert seen.next() == (job_id, RUNNING)
        report(other, job_id, COMPLETED)

        assert seen.rest() == [(job_id, COMPLETED)]


def test_a_request_that_waits_gets_the_job_that_is_submitted_on_another_server(pair: list[RainbowServer]) -> None:
    here, there = pair
    with joined(here) as remote, connected(there.address) as stub, ThreadPoolExecutor(1) as pool:
        other = Remote(name=remote.name, token=remote.token, secret=remote.secret, stub=stub)

        for _ in range(20):
            # Whether the request comes before the job or after it.
            waiting = pool.submit(remote.request, wait_seconds=PATIENCE_SECONDS)
            job_id = other.submit().jobid
            assert list(waiting.result(PATIENCE_SECONDS).jobids) == [job_id]
            remote.accept(job_id)
