"""Many clients at the same time, on one server and on two that share a database."""

import random
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest

from rainbow.protos import rainbow_pb2 as pb
from tests.support.patience import PATIENCE_SECONDS
from tests.support.rows import execute
from tests.support.servers import RainbowServer, start_rainbow
from tests.support.wire import Remote, connected

CLIENTS = 8
JOBS = 2_000


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


@pytest.fixture(params=[1, 2], ids=["one server", "two servers"])
def servers(request: pytest.FixtureRequest, pair: list[RainbowServer]) -> list[RainbowServer]:
    """Where the clients of a test go: to one of the servers, or some to the one and some to the other."""
    return pair[: request.param]


@pytest.fixture
def server(servers: list[RainbowServer]) -> RainbowServer:
    """Where the cluster is registered."""
    return servers[0]


def together(servers: list[RainbowServer], work: Callable[[int, Remote], list[int]], remote: Remote) -> list[list[int]]:
    """What each of eight clients brings home; each has a connection of its own, to one server or another."""

    def client(number: int) -> list[int]:
        with connected(servers[number % len(servers)].address) as stub:
            return work(number, Remote(name=remote.name, token=remote.token, secret=remote.secret, stub=stub))

    with ThreadPoolExecutor(CLIENTS) as pool:
        return list(pool.map(client, range(CLIENTS)))


def submitted(remote: Remote, number: int) -> list[int]:
    answer = remote.submit_many(*[pb.JobSpec(nodes=1, command=f"echo {place}") for place in range(number)])
    return [result.jobid for result in answer.results]


def rows_of(servers: list[RainbowServer], remote: Remote, columns: str, tables: str) -> list[tuple[Any, ...]]:
    cluster = "JOIN clusters_cluster c ON c.id = cluster_id AND c.name = %s"
    return execute(servers[0].database_url, f"SELECT {columns} FROM {tables} {cluster}", [remote.name])


def kept_counts(servers: list[RainbowServer], remote: Remote) -> Counter[str]:
    """The counts that the verbs keep beside the jobs."""
    counts: Counter[str] = Counter()
    for state, jobs in rows_of(servers, remote, "state, jobs", "jobs_jobcount"):
        counts[state] += jobs
    return Counter({state: jobs for state, jobs in counts.items() if jobs})


def recounted(servers: list[RainbowServer], remote: Remote) -> Counter[str]:
    return Counter(state for (state,) in rows_of(servers, remote, "state", "jobs_job"))


def acceptances_by_job(servers: list[RainbowServer], remote: Remote) -> Counter[int]:
    events = "jobs_job j JOIN jobs_jobevent e ON e.job_id = j.id AND e.what = 'accepted'"
    return Counter(job_id for (job_id,) in rows_of(servers, remote, "j.id", events))


@pytest.mark.parametrize("named", [False, True], ids=["plain", "with agents"])
def test_eight_clients_empty_one_queue_and_every_job_is_accepted_once(
    servers: list[RainbowServer], remote: Remote, named: bool
) -> None:
    ids = submitted(remote, JOBS)

    def pull(number: int, cluster: Remote) -> list[int]:
        mine: list[int] = []
        # Requests of different sizes, so that the clients overlap in ever other ways.
        while found := cluster.request(maxJobs=20 + number * 7).jobids:
            answer = cluster.accept(*found, agent=f"agent-{number}" if named else "")
            mine += [job.jobid for job in answer.accepted]
        return mine

    taken = together(servers, pull, remote)

    assert sorted(job_id for mine in taken for job_id in mine) == ids
    assert acceptances_by_job(servers, remote) == Counter(ids)
    assert kept_counts(servers, remote) == recounted(servers, remote) == {"accepted": JOBS}
    assert remote.summary() == {pb.JOB_STATE_ACCEPTED: JOBS}


def test_eight_clients_that_want_the_same_jobs_in_other_orders_get_each_once(
    servers: list[RainbowServer], remote: Remote
) -> None:
    ids = submitted(remote, JOBS)

    def grab(number: int, cluster: Remote) -> list[int]:
        wanted = random.Random(number).sample(ids, JOBS)
        return [
            job.jobid for start in range(0, JOBS, 250) for job in cluster.accept(*wanted[start : start + 250]).accepted
        ]

    taken = together(servers, grab, remote)

    assert sorted(job_id for mine in taken for job_id in mine) == ids
    assert kept_counts(servers, remote) == recounted(servers, remote) == {"accepted": JOBS}


def test_jobs_that_are_submitted_while_others_pull_are_accepted_once_each(
    servers: list[RainbowServer], remote: Remote
) -> None:
    per_client, submitters = 50, CLIENTS // 2

    def pull(cluster: Remote) -> list[int]:
        mine: list[int] = []
        while found := cluster.request(maxJobs=10, wait_seconds=1).jobids:
            mine += [job.jobid for job in cluster.accept(*found).accepted]
        return mine

    def submit_or_pull(number: int, cluster: Remote) -> list[int]:
        if number >= submitters:
            return pull(cluster)
        return [cluster.submit(f"echo {number} {place}", priority=place % 3).jobid for place in range(per_client)]

    brought = together(servers, submit_or_pull, remote)
    # On a slow machine they may have gone home before the last job came.
    brought.append(pull(remote))

    handed_in = [job_id for mine in brought[:submitters] for job_id in mine]
    taken = [job_id for mine in brought[submitters:] for job_id in mine]
    assert len(handed_in) == len(set(handed_in)) == per_client * submitters
    assert sorted(taken) == sorted(handed_in)
    assert kept_counts(servers, remote) == recounted(servers, remote) == {"accepted": len(handed_in)}


def test_a_job_is_accepted_or_cancelled_and_never_both(servers: list[RainbowServer], remote: Remote) -> None:
    ids = submitted(remote, 500)

    def accept_or_cancel(number: int, cluster: Remote) -> list[int]:
        mine: list[int] = []
        for start in range(0, len(ids), 10):
            some = ids[start : start + 10]
            if number % 2:
                mine += [job.jobid for job in cluster.accept(*some).accepted]
            else:
                request = pb.CancelJobsRequest(jobids=some)
                answer = cluster.stub.CancelJobs(request, metadata=cluster.by_secret, timeout=PATIENCE_SECONDS)
                mine += [item.jobid for item in answer.results if item.outcome == pb.CancelResult.OUTCOME_CANCELLED]
        return mine

    brought = together(servers, accept_or_cancel, remote)

    assert sorted(job_id for mine in brought for job_id in mine) == ids
    accepted = sum(len(mine) for mine in brought[1::2])
    assert kept_counts(servers, remote) == recounted(servers, remote)
    assert recounted(servers, remote)["accepted"] == accepted


def test_a_name_that_eight_clients_want_goes_to_one_of_them(servers: list[RainbowServer], remote: Remote) -> None:
    def register(number: int, cluster: Remote) -> list[int]:
        request = pb.RegisterRequest(name=f"wanted-by-all-of-{remote.name}", secret=servers[0].registration_secret)
        return [cluster.stub.Register(request, timeout=PATIENCE_SECONDS).status]

    statuses = Counter(status for mine in together(servers, register, remote) for status in mine)

    assert statuses == {
        pb.RegisterResponse.REGISTER_SUCCESS: 1,
        pb.RegisterResponse.REGISTER_EXISTS: CLIENTS - 1,
    }
