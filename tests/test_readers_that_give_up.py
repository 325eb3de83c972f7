"""What is written for a reader of an output who gives up meanwhile does not count as a reader any longer."""

import asyncio
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest
from django.utils import timezone

from grpc_api.rpcs import output
from grpc_api.rpcs.output import OutputRpcs
from grpc_api.rpcs.server_state import Answered
from grpc_api.runtime.thread_pools import ThreadPools
from grpc_api.runtime.wakeups import Wakeups
from jobs.models import Relay, Wish
from jobs.services import output_parts
from jobs.services.relays import Opened
from rainbow.protos import rainbow_pb2 as pb
from rainbow.telemetry.traces import NO_SPAN
from tests.support.console import signed_in
from tests.support.leases import held
from tests.support.patience import PATIENCE_SECONDS

CALL: Any = SimpleNamespace(bearer="", certified=lambda: None, request_id="", span=NO_SPAN)


class Server:
    """Whose threads write relays, once the `gate` is open."""

    def __init__(self) -> None:
        self.pools, self.wakeups = ThreadPools(), Wakeups()
        self.begun, self.gate = Event(), Event()
        self.ended: list[str] = []

    async def write(self, answer: Any, request: Any, *_: object) -> Answered[Any]:
        work = partial(answer, request, None, datetime.now(UTC))
        return Answered(caller=None, reply=await self.pools.write(work))  # type: ignore[arg-type]

    def begin(self, *_: object) -> Opened:
        self.begun.set()
        assert self.gate.wait(PATIENCE_SECONDS)
        return Opened(id="relay", attempt=1, start=0)

    def end(self, *, relay: str) -> None:
        self.ended.append(relay)

    def open_gate(self) -> None:
        """Returns once the thread is done; the event loop learns of it later."""
        self.gate.set()
        assert self.pools.writers.have_ended(time.monotonic() + PATIENCE_SECONDS)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    server = Server()
    monkeypatch.setattr(output, "begin", server.begin)
    monkeypatch.setattr(output, "end_relay", server.end)
    yield server
    server.pools.close()


async def reading(rpcs: OutputRpcs, server: Server) -> "asyncio.Task[Any]":
    answers = rpcs.ReadOutput(pb.ReadOutputRequest(jobid=1), CALL)
    task = asyncio.ensure_future(anext(answers))
    while not server.begun.is_set():
        await asyncio.sleep(0.001)
    return task


def test_a_relay_that_is_written_after_its_reader_gave_up_is_ended(server: Server) -> None:
    async def scene() -> None:
        task = await reading(OutputRpcs(server), server)  # type: ignore[arg-type]
        task.cancel()
        await asyncio.wait([task])
        assert server.ended == []
        server.open_gate()

    asyncio.run(asyncio.wait_for(scene(), PATIENCE_SECONDS))

    assert server.ended == ["relay"]


def test_a_relay_of_which_its_reader_had_not_learned_is_ended(server: Server) -> None:
    async def scene() -> None:
        rpcs = OutputRpcs(server)  # type: ignore[arg-type]
        task = await reading(rpcs, server)
        server.open_gate()
        task.cancel()
        await asyncio.wait([task])
        await asyncio.gather(*rpcs._endings)

    asyncio.run(asyncio.wait_for(scene(), PATIENCE_SECONDS))

    assert server.ended == ["relay"]


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("/api/v1/jobs/{}/output", 409),
        ("/admin/jobs/job/{}/output/", 204),
        ("/admin/jobs/job/{}/file/?name=results.csv", 302),
    ],
)
def test_an_agent_is_not_waited_for_when_the_client_of_a_web_request_has_gone(
    alpha: Any, monkeypatch: pytest.MonkeyPatch, address: str, status: int
) -> None:
    def wait(_seconds: float) -> None:
        pytest.fail("waits for the agent")

    monkeypatch.setattr(output_parts, "time", SimpleNamespace(sleep=wait))
    job_id = held(alpha, now=timezone.now())
    vera = signed_in("vera", "operators", sees_content=True)

    told_by_the_web_server: dict[str, Any] = {"waitress.client_disconnected": lambda: True}
    answer = vera.get(address.format(job_id), **told_by_the_web_server)

    assert answer.status_code == status
    assert not Relay.objects.exists()
    assert not Wish.objects.exists()
