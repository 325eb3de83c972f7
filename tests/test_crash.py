"""Servers that end in the middle of their work, and start again on the same database."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import grpc
import pytest

from rainbow.protos import rainbow_pb2 as pb
from tests.support.patience import PATIENCE_SECONDS
from tests.support.rows import count, execute
from tests.support.servers import RainbowServer
from tests.support.wire import Remote, connected, joined

CLIENTS = 6
ENOUGH = 200


@dataclass(slots=True, kw_only=True)
class Diary:
    """What several clients handed in: the ids by key, None where no answer came."""

    ids: dict[str, int | None] = field(default_factory=dict)
    failures: list[grpc.StatusCode] = field(default_factory=list)
    enough: threading.Event = field(default_factory=threading.Event)

    @property
    def answered(self) -> dict[str, int]:
        return {key: job_id for key, job_id in self.ids.items() if job_id is not None}

    def submit_until_it_fails(self, cluster: Remote, address: str, number: int) -> None:
        with connected(address) as stub:
            for place in range(100_000):
                key = f"{number}-{place}"
                self.ids[key] = None
                try:
                    answer = stub.SubmitJob(submission(cluster, key), timeout=PATIENCE_SECONDS)
                except grpc.RpcError as error:
                    self.failures.append(error.code())
                    return
                self.ids[key] = answer.jobid
                if len(self.answered) >= ENOUGH:
                    self.enough.set()


def submission(cluster: Remote, key: str) -> pb.SubmitJobRequest:
    return cluster.submission(f"echo {key}", idempotency_key=key)


def end_amid_submissions(server: RainbowServer, cluster: Remote, end: Callable[[], object]) -> Diary:
    """Ends the server while several clients submit, each under keys of its own."""
    diary = Diary()
    with ThreadPoolExecutor(CLIENTS) as pool:
        for number in range(CLIENTS):
            pool.submit(diary.submit_until_it_fails, cluster, server.address, number)
        assert diary.enough.wait(PATIENCE_SECONDS)
        end()
    return diary


def commands_by_id(server: RainbowServer) -> dict[int, str]:
    return dict(execute(server.database_url, "SELECT id, command FROM jobs_job"))


def test_what_was_answered_before_a_kill_is_there_and_retries_make_nothing_twice(
    start_server: Callable[..., RainbowServer],
) -> None:
    server = start_server()
    with joined(server) as cluster:
        diary = end_amid_submissions(server, cluster, server.kill)

        again = start_server(database_url=server.database_url)
        found = commands_by_id(again)
        with connected(again.address) as stub:
            retried = {key: stub.SubmitJob(submission(cluster, key), timeout=PATIENCE_SECONDS) for key in diary.ids}
            waiting = stub.RequestJobs(pb.RequestJobsRequest(cluster=cluster.name, secret=cluster.secret))

    assert len(diary.answered) >= ENOUGH
    assert {job_id: found.get(job_id) for job_id in diary.answered.values()} == {
        job_id: f"echo {key}" for key, job_id in diary.answered.items()
    }
    assert all(retried[key].duplicate and retried[key].jobid == job_id for key, job_id in diary.answered.items())
    assert sorted(waiting.jobids) == sorted({reply.jobid for reply in retried.values()})
    assert len(waiting.jobids) == len(diary.ids)


def test_a_job_is_stored_with_its_event_its_labels_and_its_count_or_not_at_all(
    start_server: Callable[..., RainbowServer],
) -> None:
    server = start_server()
    with joined(server) as cluster:
        end_amid_submissions(server, cluster, server.kill)

    url = start_server(database_url=server.database_url).database_url
    (jobs, events) = count(url, "jobs_job", "jobs_jobevent")
    [(counted,)] = execute(url, "SELECT SUM(jobs) FROM jobs_jobcount")

    assert jobs == events == counted


def test_a_server_that_is_told_to_stop_finishes_what_it_began(start_server: Callable[..., RainbowServer]) -> None:
    server = start_server()
    with joined(server) as cluster:
        diary = end_amid_submissions(server, cluster, server.stop)

        stored = set(commands_by_id(server))

    assert server.process.returncode == 0
    # gRPC itself cancels what had reached it when it was told to stop and had not begun.
    assert set(diary.failures) <= {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}
    # Every job that it took is a job that it answered for.
    assert stored == set(diary.answered.values())


def test_what_was_accepted_before_a_kill_stays_accepted(start_server: Callable[..., RainbowServer]) -> None:
    server = start_server()
    with joined(server) as cluster:
        first, second = cluster.submit().jobid, cluster.submit().jobid
        accepted = cluster.accept(first, agent="agent-1").accepted[0]
        server.kill()

        again = start_server(database_url=server.database_url, address=server.address)
        with connected(again.address) as stub:
            survivor = Remote(name=cluster.name, token=cluster.token, secret=cluster.secret, stub=stub)
            left, repeated = survivor.request(), survivor.accept(first, agent="agent-1")

    assert list(left.jobids) == [second]
    assert [(job.jobid, job.attempt) for job in repeated.accepted] == [(first, accepted.attempt)]


@pytest.mark.parametrize("rounds", [3])
def test_a_database_outlives_one_kill_after_the_other(start_server: Callable[..., RainbowServer], rounds: int) -> None:
    server = start_server()
    answered: list[int] = []
    for _ in range(rounds):
        with joined(server) as cluster:
            answered += [cluster.submit().jobid for _ in range(5)]
        server.kill()
        server = start_server(database_url=server.database_url)

    assert sorted(commands_by_id(server)) == answered
