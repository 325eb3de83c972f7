"""All of what jobs wrote, from the site to a reader."""

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event

import grpc
import pytest

from grpc_api.rpcs.output import MAX_CHUNK
from jobs.services.relays import MOST_READERS_OF_A_JOB
from rainbow.client import Client
from rainbow.errors import FailedPrecondition, NotFound, ResourceExhausted
from rainbow.protos import rainbow_pb2 as pb
from tests.support.agents import Crew, crew
from tests.support.executors import until_there
from tests.support.patience import PATIENCE_SECONDS, wait_until
from tests.support.servers import RainbowServer
from tests.support.wire import Remote, joined
from tests.support.wishes import at_work, run_at, wishes_of

MIB = 1024 * 1024


@pytest.fixture
def two_servers(start_server: Callable[..., RainbowServer]) -> tuple[RainbowServer, RainbowServer]:
    """On one database."""
    first = start_server()
    return first, start_server(database_url=first.database_url)


def read(client: Client, jobid: int, **more: object) -> bytes:
    return b"".join(part.data for part in client.read_output(jobid, **more))  # type: ignore[arg-type]


def finished(agent: Crew, command: str) -> int:
    jobid = agent.submit(command)
    wait_until(lambda: agent.job(jobid).finished_at is not None)
    return jobid


def test_output_and_errors_are_read_apart_and_whole(agent: Crew) -> None:
    jobid = finished(agent, "seq 100000; echo trouble >&2")

    output, errors = read(agent.client, jobid), read(agent.client, jobid, stderr=True)

    assert output == b"".join(b"%d\n" % number for number in range(1, 100_001))
    assert errors == b"trouble\n"
    assert agent.job(jobid).output.endswith("100000\ntrouble\n")


def test_a_reader_may_begin_anywhere(agent: Crew) -> None:
    jobid = finished(agent, "printf 0123456789")

    assert read(agent.client, jobid, from_byte=4) == b"456789"
    assert read(agent.client, jobid, from_byte=10) == b""
    assert read(agent.client, jobid, from_byte=1_000) == b""


def test_a_reader_follows_a_job_to_its_end(agent: Crew, tmp_path: Path) -> None:
    jobid = agent.submit(f"echo begun; {until_there(tmp_path / 'go')}; echo over")
    wait_until(lambda: str(agent.job(jobid).state) == "running")

    parts = agent.client.read_output(jobid, follow=True)
    before = next(part for part in parts if part.data)
    (tmp_path / "go").touch()

    assert before.data == b"begun\n"
    assert b"".join(part.data for part in parts) == b"over\n"


def test_without_follow_what_is_there_is_all(agent: Crew, tmp_path: Path) -> None:
    jobid = agent.submit(f"echo begun; {until_there(tmp_path / 'go')}")
    wait_until(lambda: str(agent.job(jobid).state) == "running")

    wait_until(lambda: read(agent.client, jobid) == b"begun\n")
    (tmp_path / "go").touch()


def test_a_stranger_reads_nothing(agent: Crew, server: RainbowServer, other_remote: Remote) -> None:
    jobid = finished(agent, "echo secret")

    with Client(server.address, cluster=other_remote.name, token=other_remote.token) as stranger:
        with pytest.raises(NotFound) as of_another:
            read(stranger, jobid)
        with pytest.raises(NotFound) as of_none:
            read(stranger, 2**31 - 1)
    assert str(of_another.value) == str(of_none.value)


def test_a_job_that_no_agent_has_has_no_output(agent: Crew, remote: Remote) -> None:
    agent.agent.drain()
    jobid = remote.submit().jobid

    with pytest.raises(FailedPrecondition, match="no agent has the job"):
        read(agent.client, jobid)


def test_what_the_site_keeps_no_longer_is_told(agent: Crew) -> None:
    jobid = finished(agent, "echo gone")
    agent.executor._folder(f"rainbow-{jobid}-1").remove()

    with pytest.raises(FailedPrecondition, match="keeps the job's output no longer"):
        read(agent.client, jobid)
    assert agent.job(jobid).output == "gone\n"


def test_an_output_that_the_job_replaced_is_not_read(agent: Crew, tmp_path: Path) -> None:
    """By a link to what is not the job's, and by a pipe that nobody writes to."""
    (tmp_path / "private").write_text("private")
    jobid = finished(agent, "echo mine")
    output = agent.executor._folder(f"rainbow-{jobid}-1").output

    output.unlink()
    output.symlink_to(tmp_path / "private")
    with pytest.raises(FailedPrecondition, match="not a regular file of our own"):
        read(agent.client, jobid)
    output.unlink()
    os.mkfifo(output)
    with pytest.raises(FailedPrecondition, match="not a regular file of our own"):
        read(agent.client, jobid)


def test_many_readers_get_the_same(agent: Crew) -> None:
    jobid = finished(agent, "head -c 3000000 /dev/urandom")
    wanted = agent.executor._folder(f"rainbow-{jobid}-1").output.read_bytes()

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: read(agent.client, jobid), range(8)))

    assert {hashlib.sha256(one).digest() for one in found} == {hashlib.sha256(wanted).digest()}


def test_readers_of_one_job_are_limited(agent: Crew, tmp_path: Path) -> None:
    jobid = agent.submit(f"echo begun; {until_there(tmp_path / 'go')}")
    wait_until(lambda: str(agent.job(jobid).state) == "running")
    readers = [agent.client.read_output(jobid, follow=True) for _ in range(MOST_READERS_OF_A_JOB)]
    for reader in readers:
        next(reader)

    with pytest.raises(ResourceExhausted, match="so many read the job's output already"):
        read(agent.client, jobid)
    readers.pop().close()  # type: ignore[attr-defined]
    wait_until(lambda: _can_be_read(agent, jobid))
    for reader in readers:
        reader.close()  # type: ignore[attr-defined]
    (tmp_path / "go").touch()


def _can_be_read(agent: Crew, jobid: int) -> bool:
    try:
        return bool(read(agent.client, jobid))
    except ResourceExhausted:
        return False


def test_an_output_goes_through_two_servers(two_servers: tuple[RainbowServer, RainbowServer], tmp_path: Path) -> None:
    """The agent is connected to one of them, the reader to the other."""
    of_agent, of_reader = two_servers
    with (
        joined(of_agent) as remote,
        crew(remote, of_agent.address, tmp_path / "state") as made,
        at_work(made) as agent,
        Client(of_reader.address, cluster=agent.client.cluster, token=agent.client._token) as reader,
    ):
        jobid = finished(agent, "head -c 2000000 /dev/urandom")
        wanted = agent.executor._folder(f"rainbow-{jobid}-1").output.read_bytes()
        running = agent.submit(f"echo begun; {until_there(tmp_path / 'go')}; echo over")
        wait_until(lambda: str(agent.job(running).state) == "running")
        parts = reader.read_output(running, follow=True)
        before = next(part.data for part in parts if part.data)
        (tmp_path / "go").touch()

        assert read(reader, jobid) == wanted
        assert (before, b"".join(part.data for part in parts)) == (b"begun\n", b"over\n")


def sent(remote: Remote, stream: str, *chunks: pb.SendOutputRequest, agent: str = "login1") -> list[bool]:
    first = pb.SendOutputRequest(cluster=remote.name, agent=agent, stream=stream)
    requests = [pb.SendOutputRequest() for _ in chunks]
    for request, chunk in zip(requests, chunks, strict=True):
        request.MergeFrom(chunk)
    requests[0].MergeFrom(first)
    answers = remote.stub.SendOutput(iter(requests), metadata=remote.by_secret, timeout=PATIENCE_SECONDS)
    return [answer.stop for answer in answers]


@contextmanager
def reader_of(remote: Remote) -> Iterator[tuple[str, Future[list[bytes]]]]:
    """Of a job of `login1`, which the test itself is: the stream that its wish names, and what the reader gets."""
    jobid = run_at(remote, agent="login1")
    with ThreadPoolExecutor(1) as pool:
        request = pb.ReadOutputRequest(cluster=remote.name, jobid=jobid)
        answers = remote.stub.ReadOutput(request, metadata=remote.by_token, timeout=PATIENCE_SECONDS)
        got = pool.submit(lambda: [answer.data for answer in answers])
        (wish,) = wishes_of(remote, agent="login1", wait_seconds=PATIENCE_SECONDS)
        yield wish.stream, got


@pytest.mark.parametrize(
    ("chunks", "words"),
    [
        ([pb.SendOutputRequest(offset=5, data=b"x")], "offset: must be 0"),
        ([pb.SendOutputRequest(data=b"ab"), pb.SendOutputRequest(offset=1, data=b"b")], "offset: must be 2"),
        ([pb.SendOutputRequest(data=b"x" * (MAX_CHUNK + 1))], "must be at most 262,144"),
        ([pb.SendOutputRequest(error="why")], "error: is only for the last chunk"),
        ([pb.SendOutputRequest(error="a\nb", end=True)], "error: must be a line"),
    ],
)
def test_an_agent_that_breaks_the_rules_ends_its_own_stream(
    remote: Remote, chunks: list[pb.SendOutputRequest], words: str
) -> None:
    with reader_of(remote) as (stream, got):
        with pytest.raises(grpc.RpcError, match=words):
            sent(remote, stream, *chunks)
        with pytest.raises(grpc.RpcError, match="the connection of the cluster's agent was cut"):
            got.result(PATIENCE_SECONDS)


def test_only_the_jobs_agent_may_send_and_only_what_is_read(remote: Remote, other_remote: Remote) -> None:
    end = pb.SendOutputRequest(data=b"mine", end=True)
    with reader_of(remote) as (stream, got):
        for cluster, agent, name in (
            (other_remote, "login1", stream),
            (remote, "login2", stream),
            (remote, "login1", "x"),
        ):
            with pytest.raises(grpc.RpcError, match="nobody reads this any more"):
                sent(cluster, name, end, agent=agent)
        assert sent(remote, stream, end) == [False]
        assert got.result(PATIENCE_SECONDS) == [b"mine"]


def test_an_agent_learns_that_the_reader_is_gone(remote: Remote) -> None:
    jobid = run_at(remote, agent="login1")
    request = pb.ReadOutputRequest(cluster=remote.name, jobid=jobid, follow=True)
    answers = remote.stub.ReadOutput(request, metadata=remote.by_token, timeout=PATIENCE_SECONDS)
    (wish,) = wishes_of(remote, agent="login1", wait_seconds=PATIENCE_SECONDS)
    seen = Event()

    def chunks() -> Iterator[pb.SendOutputRequest]:
        yield pb.SendOutputRequest(cluster=remote.name, agent="login1", stream=wish.stream, data=b"x")
        seen.wait(PATIENCE_SECONDS)
        while True:
            yield pb.SendOutputRequest(offset=1)
            time.sleep(0.1)

    told = remote.stub.SendOutput(chunks(), metadata=remote.by_secret, timeout=PATIENCE_SECONDS)
    first = next(answers)
    answers.cancel()
    seen.set()

    assert first.data == b"x"
    assert any(answer.stop for answer in told)


def test_a_reader_that_never_reads_holds_back_the_agent(remote: Remote) -> None:
    """What is under way is bounded: neither the server nor the agent piles up what nobody takes."""
    jobid = run_at(remote, agent="login1")
    request = pb.ReadOutputRequest(cluster=remote.name, jobid=jobid, follow=True)
    answers = remote.stub.ReadOutput(request, metadata=remote.by_token, timeout=PATIENCE_SECONDS)
    (wish,) = wishes_of(remote, agent="login1", wait_seconds=PATIENCE_SECONDS)
    answered: list[int] = []

    def chunks() -> Iterator[pb.SendOutputRequest]:
        for number in range(1_000):
            while number > len(answered) + 2:
                time.sleep(0.01)
            yield pb.SendOutputRequest(
                cluster=remote.name,
                agent="login1",
                stream=wish.stream,
                offset=number * MAX_CHUNK,
                data=b"x" * MAX_CHUNK,
            )

    told = remote.stub.SendOutput(chunks(), metadata=remote.by_secret, timeout=20)
    with pytest.raises(grpc.RpcError, match="Deadline"):
        for _ in told:
            answered.append(1)
    answers.cancel()

    # The client takes some of it unasked, as gRPC lets a stream do.
    assert len(answered) * MAX_CHUNK < 32 * MIB
