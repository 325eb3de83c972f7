"""A database that stops answering, or is gone: calls are refused within seconds, and served again once it is back."""

import asyncio
import fcntl
import os
import signal
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from subprocess import PIPE, Popen

import grpc
import psycopg
import pytest
import uvloop
from django.db import OperationalError, connection

from grpc_api.runtime import postgresql_probe
from grpc_api.runtime.database_probe import SqliteProbe
from grpc_api.runtime.group_commit import GroupCommit
from grpc_api.runtime.postgresql_probe import PostgresqlProbe
from grpc_api.runtime.thread_pools import ThreadPools
from grpc_api.runtime.worker_threads import DatabaseAway
from rainbow.client import Client
from rainbow.errors import Unavailable
from rainbow.protos import rainbow_pb2 as pb
from rainbow.records import JobSpec
from tests.support.patience import PATIENCE_SECONDS, wait_until
from tests.support.postgresql import PostgresqlServer, postgresql_server
from tests.support.processes import descendants
from tests.support.servers import RainbowServer, migrate
from tests.support.wire import Remote, joined, refusal_of

AWAY = "the database does not answer now; try again"
# What a call may take at most before it is refused; on a busy machine more than the two that it is usually.
PROMPTLY_SECONDS = 60


class Heart:
    """A probe that answers as a test wishes."""

    patience_seconds = 0.0

    def __init__(self) -> None:
        self.alive = True
        self.cuts = 0

    async def answers(self) -> bool:
        return self.alive

    def cut(self, link: object) -> None:
        self.cuts += 1


def test_what_is_under_way_and_what_waits_is_given_up_and_what_comes_is_refused_until_the_database_is_back() -> None:
    heart, gate = Heart(), threading.Event()

    async def scenario() -> None:
        pools = ThreadPools(probe=heart)
        watch = asyncio.create_task(pools.watch())
        stuck = [asyncio.create_task(pools.read(lambda: gate.wait(PATIENCE_SECONDS))) for _ in range(4)]
        waiting = asyncio.create_task(pools.read(lambda: "done"))
        await asyncio.sleep(0)
        heart.alive = False

        outcomes = await asyncio.gather(*stuck, waiting, return_exceptions=True)
        with pytest.raises(DatabaseAway):
            await pools.write(lambda: "done")
        heart.alive = True
        gate.set()
        while (again := (await asyncio.gather(pools.read(lambda: "done"), return_exceptions=True))[0]) != "done":
            assert isinstance(again, DatabaseAway)
            await asyncio.sleep(0.01)

        untouched = [outcome for outcome in outcomes if isinstance(outcome, DatabaseAway)]
        in_doubt = [outcome for outcome in outcomes if type(outcome) is Unavailable]
        assert len(untouched) + len(in_doubt) == 5
        assert len(in_doubt) == heart.cuts > 0
        assert [error.may_be_done for error in (untouched[-1], in_doubt[0])] == [False, True]
        watch.cancel()
        pools.close()

    asyncio.run(scenario())


def test_an_outage_is_noticed_though_nobody_waits_any_longer_for_what_is_stuck() -> None:
    heart, gate, begun = Heart(), threading.Event(), threading.Semaphore(0)
    heart.alive = False

    def stuck() -> list[int]:
        begun.release()
        gate.wait(PATIENCE_SECONDS)
        return [1]

    async def scenario() -> None:
        pools = ThreadPools(probe=heart)
        together = GroupCommit[int, int](pools.writers, lambda _: stuck, verb="submit", most=1)
        for call in (pools.read(stuck), together(1)):
            with suppress(TimeoutError):
                await asyncio.wait_for(call, 0.01)
            assert begun.acquire(timeout=PATIENCE_SECONDS)
        watch = asyncio.create_task(pools.watch())
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not heart.cuts and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        gate.set()
        watch.cancel()
        pools.close()

    asyncio.run(scenario())
    assert heart.cuts == 2


def test_a_failure_while_the_database_answers_is_told_and_keeps_nobody_out() -> None:
    def fail() -> None:
        raise OperationalError("only this")

    async def scenario() -> None:
        pools = ThreadPools(probe=Heart())
        watch = asyncio.create_task(pools.watch())
        with pytest.raises(OperationalError):
            await pools.write(fail)
        for _ in range(50):
            assert await pools.read(lambda: "done") == "done"
            await asyncio.sleep(0.01)
        watch.cancel()
        pools.close()

    asyncio.run(scenario())


# Real servers, on a PostgreSQL of their own that is stopped


@pytest.fixture(scope="module")
def database() -> Iterator[PostgresqlServer]:
    with postgresql_server() as running:
        migrate(running.url)
        yield running


@pytest.fixture
def server(start_server: Callable[..., RainbowServer], database: PostgresqlServer) -> RainbowServer:
    return start_server(database_url=database.url)


@pytest.fixture
def remote(remote: Remote) -> Remote:
    # Every thread of the server has its connection.
    for _ in range(8):
        remote.submit()
        remote.request()
    return remote


@contextmanager
def frozen(database: PostgresqlServer) -> Iterator[None]:
    """None of its processes runs, and none closes a connection: as after a network that drops everything."""
    processes = [database.pid, *descendants(database.pid)]
    _send(signal.SIGSTOP, processes)
    try:
        yield
    finally:
        _send(signal.SIGCONT, processes)


def _send(number: signal.Signals, processes: list[int]) -> None:
    for pid in processes:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def refused(cluster: Remote) -> list[tuple[grpc.StatusCode, str]]:
    """How calls of each kind are refused, three of each at once: the code and the words."""
    by = {"metadata": cluster.by_secret}
    calls = [
        (cluster.stub.SubmitJob, cluster.submission(), {}),
        (cluster.stub.RequestJobs, pb.RequestJobsRequest(cluster=cluster.name, secret=cluster.secret), {}),
        (cluster.stub.AcceptJobs, cluster.acceptance(1), {}),
        (cluster.stub.ListJobs, pb.ListJobsRequest(), by),
        (cluster.stub.CancelJobs, pb.CancelJobsRequest(jobids=[1]), by),
        (cluster.stub.ReportJobs, pb.ReportJobsRequest(agent="agent-1"), by),
    ] * 3
    began = time.monotonic()
    with ThreadPoolExecutor(len(calls)) as pool:
        refusals = list(pool.map(lambda call: refusal_of(call[0], call[1], **call[2]), calls))
    assert time.monotonic() - began < PROMPTLY_SECONDS
    return [(refusal.code, refusal.text) for refusal in refusals]


def serves(cluster: Remote) -> bool:
    with suppress(grpc.RpcError):
        return bool(cluster.submit().jobid)
    return False


def test_a_database_that_stops_answering_is_noticed_within_seconds(remote: Remote, database: PostgresqlServer) -> None:
    with frozen(database):
        first = refused(remote)
        later = refused(remote)

    wait_until(lambda: serves(remote))
    unavailable = grpc.StatusCode.UNAVAILABLE
    assert {code for code, _ in first} == {unavailable}
    assert set(later) == {(unavailable, AWAY)}


def test_a_server_stops_although_its_threads_wait_for_a_database_without_an_answer(
    server: RainbowServer, remote: Remote, database: PostgresqlServer
) -> None:
    with frozen(database):
        # Given up, and told to stop, before the server notices that the database is away.
        given_up = refusal_of(remote.stub.SubmitJob, remote.submission(), timeout=0.3)
        server.stop()

    assert given_up.code == grpc.StatusCode.DEADLINE_EXCEEDED
    assert "Traceback" not in server.log.read_text()


@pytest.mark.parametrize("seconds", [1.2, 2.0])
def test_a_process_that_stood_still_itself_does_not_take_the_database_for_gone(
    database: PostgresqlServer, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    monkeypatch.setattr(postgresql_probe, "parameters", lambda: {"conninfo": database.url})
    probe = PostgresqlProbe()

    async def scenario() -> bool:
        probing = asyncio.create_task(probe.answers())
        await asyncio.sleep(0)
        time.sleep(seconds)
        return await probing

    assert uvloop.run(scenario())


@contextmanager
def gone(database: PostgresqlServer) -> Iterator[None]:
    """Its connections are closed, and there is nothing to connect to: as after a crash."""
    socket_file = Path(database.url.partition("host=")[2], ".s.PGSQL.5432")
    aside = socket_file.with_suffix(".aside")
    with psycopg.connect(database.url, autocommit=True) as last:
        socket_file.rename(aside)
        last.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
    try:
        yield
    finally:
        aside.rename(socket_file)


def test_a_database_that_is_gone_is_noticed_at_once_and_used_again_once_it_is_back(
    remote: Remote, database: PostgresqlServer
) -> None:
    with gone(database):
        first = refused(remote)
        later = refused(remote)

    wait_until(lambda: serves(remote))
    assert {code for code, _ in first} == {grpc.StatusCode.UNAVAILABLE}
    assert set(later) == {(grpc.StatusCode.UNAVAILABLE, AWAY)}


def test_a_client_waits_out_an_outage_and_nothing_is_done_twice(
    server: RainbowServer, remote: Remote, database: PostgresqlServer
) -> None:
    address, patience = server.address, PATIENCE_SECONDS
    with Client(address, cluster=remote.name, token=remote.token, timeout_seconds=patience) as client:
        before = remote.summary()[pb.JOB_STATE_QUEUED]
        with ThreadPoolExecutor(4) as pool:
            with frozen(database):
                submissions = [pool.submit(client.submit_job, JobSpec(command="hostname")) for _ in range(4)]
                wait_until(lambda: "WARNING the database does not answer" in server.log.read_text())
            jobs = {submission.result(PATIENCE_SECONDS).jobid for submission in submissions}

        assert len(jobs) == 4
        assert remote.summary()[pb.JOB_STATE_QUEUED] == before + 4


# And on SQLite, where another process may keep all others from writing


def test_a_process_that_keeps_others_from_writing_is_noticed_and_reading_goes_on(
    start_server: Callable[..., RainbowServer], embedded_database: str, tmp_path: Path
) -> None:
    server = start_server(database_url=embedded_database)
    with joined(server) as remote, (tmp_path / "rainbow.db.turn").open("r+") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        began = time.monotonic()
        refusal = refusal_of(remote.stub.SubmitJob, remote.submission())
        waited = time.monotonic() - began
        fcntl.flock(turn, fcntl.LOCK_UN)

        wait_until(lambda: serves(remote))

    assert refusal.code == grpc.StatusCode.UNAVAILABLE
    assert 4 < waited < PROMPTLY_SECONDS


@contextmanager
def _held_by_another(turn: Path) -> Iterator[Callable[[float], Awaitable[None]]]:
    """Gives what ends the process that holds it."""
    command = "import fcntl, sys; file = open(sys.argv[1], 'w'); fcntl.flock(file, fcntl.LOCK_EX); print(flush=True)"
    words = [sys.executable, "-c", f"{command}; sys.stdin.read()", str(turn)]
    with Popen(words, stdin=PIPE, stdout=PIPE) as holder:
        assert holder.stdout and holder.stdout.readline()

        async def end(_seconds: float) -> None:
            await asyncio.to_thread(holder.communicate)

        yield end
        holder.kill()


async def _at_once(_seconds: float) -> None:
    pass


def test_a_process_that_only_takes_its_turn_is_not_one_that_keeps_others_from_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connection.settings_dict, "NAME", str(tmp_path / "rainbow.db"))
    with _held_by_another(tmp_path / "rainbow.db.turn") as end:
        assert not asyncio.run(SqliteProbe(pause=_at_once).answers())
        assert asyncio.run(SqliteProbe(pause=end).answers())
