"""rainbow.AsyncClient: written from rainbow.Client, and the same to who calls it."""

import asyncio
import inspect
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine
from contextlib import aclosing
from functools import partial
from typing import Any

import grpc
import pytest

import rainbow
from rainbow.client_queue import QueueCalls
from rainbow.client_session import ClientSession
from rainbow.errors import NotFound, RainbowError, Unauthenticated, Unreachable
from rainbow.protos import rainbow_pb2 as pb
from rainbow.records import GroupWish, JobSpec, JobState
from rainbow.retries import Retries
from tests.support.patience import PATIENCE_SECONDS
from tests.support.ports import free_port
from tests.support.rehearsed import rehearsed_server
from tests.support.servers import ROOT, RainbowServer
from tests.support.wire import Remote
from tools.async_client import written

# What needs no waiting for.
PLAIN = {"use_secret", "answers", "answered_at"}


def public(kind: type) -> dict[str, Any]:
    return {name: value for name, value in inspect.getmembers(kind) if not name.startswith("_")}


def test_its_calls_are_those_of_the_client_as_they_are_written() -> None:
    for path, content in written().items():
        assert (ROOT / path).read_text() == content, f"{path} is not what `make client` writes"


def test_it_has_every_call_but_those_of_agents() -> None:
    of_agents = public(QueueCalls).keys() - public(ClientSession).keys()
    expected = public(rainbow.Client).keys() - of_agents

    assert public(rainbow.AsyncClient).keys() - PLAIN == expected - PLAIN
    for name in expected - PLAIN:
        here, there = (inspect.signature(getattr(kind, name)) for kind in (rainbow.AsyncClient, rainbow.Client))
        assert here.parameters == there.parameters, name


def test_importing_rainbow_loads_no_grpc_and_finds_what_it_names() -> None:
    program = (
        "import sys, rainbow; loaded = {name.partition('.')[0] for name in sys.modules};"
        "assert not loaded & {'grpc', 'google', 'asyncio', 'concurrent'}, loaded;"
        "[getattr(rainbow, name) for name in rainbow.__all__]; assert 'Client' in dir(rainbow);"
        "assert not hasattr(rainbow, 'Clinet')"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT, timeout=PATIENCE_SECONDS)


def run(remote: Remote, server: RainbowServer, act: Callable[[rainbow.AsyncClient], Coroutine[Any, Any, None]]) -> None:
    async def connected() -> None:
        known: dict[str, Any] = {"cluster": remote.name, "token": remote.token, "timeout_seconds": PATIENCE_SECONDS}
        async with rainbow.AsyncClient(server.address, **known) as client:
            await act(client)

    asyncio.run(connected())


def test_many_calls_at_a_time(remote: Remote, server: RainbowServer) -> None:
    async def act(client: rainbow.AsyncClient) -> None:
        submitted = await asyncio.gather(*(client.submit_job(JobSpec(command=f"echo {n}")) for n in range(20)))
        jobids = {submission.jobid for submission in submitted}

        assert {job.id async for job in client.list_jobs(page_size=7)} == jobids
        cancelled = await client.cancel_jobs(sorted(jobids))
        assert len(cancelled) == 20
        assert (await client.summarize_jobs()).counts == {JobState.CANCELLED: 20}

    run(remote, server, act)


def test_a_stream_of_submissions_makes_one_group(remote: Remote, server: RainbowServer) -> None:
    async def act(client: rainbow.AsyncClient) -> None:
        specs = (JobSpec(command="true") for _ in range(1100))
        results = [result async for result in client.submit_stream(specs, group=GroupWish(name="many"))]

        assert len({result.jobid for result in results}) == 1100
        group = await client.get_group(results[0].group)
        assert (group.members, group.open) == (1100, False)

    run(remote, server, act)


@pytest.mark.usefixtures("agent")
def test_jobs_are_watched_and_what_they_wrote_is_read(remote: Remote, server: RainbowServer) -> None:
    async def act(client: rainbow.AsyncClient) -> None:
        (digest,) = await client.put_inputs([b"hello\n" * 300_000])
        spec = JobSpec(command="cat in; cp in out", inputs={"in": digest}, outputs=("out",))
        jobid = (await client.submit_job(spec)).jobid

        states = [job.state async for job in client.watch_jobs([jobid])]

        assert states[-1] == JobState.COMPLETED
        assert [file.name for file in await client.list_files(jobid)] == ["in", "out"]
        assert b"".join([part async for part in client.read_file(jobid, "out")]) == b"hello\n" * 300_000
        written = [part.data async for part in client.read_output(jobid, follow=True)]
        assert b"".join(written) == b"hello\n" * 300_000

    run(remote, server, act)


def test_a_stream_that_is_not_read_to_its_end_is_closed(remote: Remote, server: RainbowServer) -> None:
    async def act(client: rainbow.AsyncClient) -> None:
        jobid = (await client.submit_job(JobSpec(command="true"))).jobid
        async with aclosing(client.watch_jobs([jobid])) as watched:
            async for job in watched:
                assert job.state == JobState.QUEUED
                break
        await client.cancel_jobs([jobid])

    run(remote, server, act)


def test_failures_are_those_of_the_client(remote: Remote, server: RainbowServer) -> None:
    async def act(client: rainbow.AsyncClient) -> None:
        with pytest.raises(NotFound):
            await client.get_group(2**31 - 1)
        with pytest.raises(NotFound):
            await anext(client.watch_jobs([2**31 - 1]))
        client._token = "wrong"
        with pytest.raises(Unauthenticated):
            await client.get_jobs([1])

    run(remote, server, act)


CLOSED = "^this client was closed$"


def test_a_call_under_way_ends_with_the_client_and_is_not_taken_for_a_cancelled_one() -> None:
    enough = threading.Event()

    def dawdle(context: grpc.ServicerContext) -> pb.GetJobsResponse:
        enough.wait(PATIENCE_SECONDS)
        return pb.GetJobsResponse()

    async def act(address: str, asked: list[Any]) -> None:
        client = rainbow.AsyncClient(address, cluster="keebler", token="t", timeout_seconds=PATIENCE_SECONDS)
        under_way, cancelled = (asyncio.create_task(client.get_jobs([1])) for _ in range(2))
        while len(asked) < 2:
            await asyncio.sleep(0.01)
        cancelled.cancel()
        await client.close()
        ended = await asyncio.gather(under_way, cancelled, return_exceptions=True)

        assert [under_way.cancelled(), cancelled.cancelled()] == [False, True]
        assert isinstance(ended[0], RainbowError)
        assert ended[0].message == "this client was closed"

    with rehearsed_server(dawdle, dawdle) as server:
        try:
            asyncio.run(act(server.address, server.asked))
        finally:
            enough.set()


def test_streams_end_with_the_client_and_no_call_begins_after_it(remote: Remote, server: RainbowServer) -> None:
    async def act(client: rainbow.AsyncClient) -> None:
        jobid = (await client.submit_job(JobSpec(command="true"))).jobid
        watched = client.watch_jobs([jobid])
        await anext(watched)
        more = asyncio.ensure_future(anext(watched))
        await asyncio.sleep(0)
        await client.close()

        for call, was_sent in (
            (more, True),
            (client.get_jobs([jobid]), False),
            (anext(client.watch_jobs([jobid])), False),
        ):
            with pytest.raises(RainbowError, match=CLOSED) as closed:
                await call
            assert closed.value.may_be_done == was_sent

    run(remote, server, act)


def test_no_call_of_a_client_of_threads_begins_after_it_was_closed(server: RainbowServer) -> None:
    client = rainbow.Client(server.address, cluster="keebler", token="t")
    client.close()

    for call in (partial(client.submit_job, JobSpec(command="true")), partial(next, client.watch_jobs([1]))):
        with pytest.raises(RainbowError, match=CLOSED) as closed:
            call()
        assert not closed.value.may_be_done, "the server never got it"


def test_a_server_that_is_away_is_tried_until_the_deadline() -> None:
    tried = list[float]()

    async def call() -> None:
        retries = Retries(first_pause_seconds=0.01, on_pause=lambda _, within: tried.append(within))
        host = f"127.0.0.1:{free_port()}"
        async with rainbow.AsyncClient(host, cluster="a", token="b", timeout_seconds=1, retries=retries) as client:
            with pytest.raises(Unreachable):
                await client.get_jobs([1])
            with pytest.raises(Unreachable):
                [result async for result in client.submit_stream([JobSpec(command="true")])]

    asyncio.run(call())
    assert tried
    assert set(tried) == {1}


def test_a_program_that_ends_starts_no_threads_to_find_out_why(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refused(*_: object) -> None:
        raise RuntimeError("cannot schedule new futures after shutdown")

    async def call() -> None:
        retries = Retries(first_pause_seconds=0.01)
        async with rainbow.AsyncClient(
            f"127.0.0.1:{free_port()}", cluster="a", token="b", timeout_seconds=1, retries=retries
        ) as client:
            with pytest.raises(Unreachable):
                await client.get_jobs([1])

    monkeypatch.setattr(asyncio, "to_thread", refused)
    asyncio.run(call())
