"""Who waits for an agent while the machine stands still does not take the agent for gone."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest

from clusters.callers import Party
from grpc_api.rpcs import output
from grpc_api.rpcs.output import OutputRpcs
from jobs import waited
from jobs.queries.relays import Chunk
from jobs.services import output_parts
from jobs.services.output_parts import Readers
from jobs.services.relays import Opened
from jobs.waited import Waited
from rainbow.errors import FailedPrecondition
from rainbow.protos import rainbow_pb2 as pb
from rainbow.telemetry.traces import NO_SPAN
from tests.support.patience import PATIENCE_SECONDS, wait_until
from tests.test_idle_streams import Answering, NoDatabase

LONG_SECONDS = 60.0
END = Chunk(offset=0, data=b"x", end=True)


class Clock:
    def __init__(self) -> None:
        self.seconds, self.looks = 0.0, 0

    def __call__(self) -> float:
        self.looks += 1
        return self.seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(waited, "monotonic", clock)
    return clock


def test_between_two_looks_a_second_passes_at_most(clock: Clock) -> None:
    since = Waited()
    told = []
    for seconds in (0.25, LONG_SECONDS, 0.5):
        clock.seconds += seconds
        told.append(since.look())

    assert told == [0.25, 1.25, 1.75]


def test_a_reader_of_a_stream_goes_on_waiting(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "ADMIT_EVERY_SECONDS", PATIENCE_SECONDS)
    server = Answering(Opened(id="relay", attempt=1, start=0))
    server.pools = NoDatabase()  # type: ignore[assignment]
    rpcs = OutputRpcs(server)  # type: ignore[arg-type]
    call: Any = SimpleNamespace(bearer="", certified=lambda: None, request_id="", span=NO_SPAN)

    async def scene() -> bytes:
        reading = rpcs.ReadOutput(pb.ReadOutputRequest(jobid=1), call)
        first = asyncio.ensure_future(anext(reading))
        while "relay" not in rpcs._windows:
            await asyncio.sleep(0)
        clock.seconds += LONG_SECONDS
        looks = clock.looks
        while clock.looks <= looks + 1 and not first.done():
            await asyncio.sleep(0.01)
        rpcs._windows.put("relay", END)
        return bytes((await first).data)

    assert asyncio.run(asyncio.wait_for(scene(), PATIENCE_SECONDS)) == b"x"


def test_a_reader_of_a_part_goes_on_waiting(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    come = [[], [], [(1, END)]]

    def stand_still(_seconds: float) -> None:
        clock.seconds += LONG_SECONDS

    monkeypatch.setattr(output_parts, "time", SimpleNamespace(sleep=stand_still))
    monkeypatch.setattr(output_parts, "chunks_of", lambda _: come.pop(0))
    monkeypatch.setattr(output_parts, "taken", lambda **_: None)
    opened = Opened(id="relay", attempt=1, start=0)

    assert output_parts._read(opened, over=True, most_bytes=10, has_gone=bool).data == b"x"
    come.extend([[]] * 100)
    with pytest.raises(FailedPrecondition, match="did not answer"):
        output_parts._read(opened, over=True, most_bytes=10, has_gone=bool)


def test_who_waits_for_a_turn_goes_on_waiting(clock: Clock) -> None:
    readers = Readers(at_once=1, waiting=1, seconds=LONG_SECONDS)

    def come() -> bool:
        with readers.admitted(Party("person", 2)):
            return True

    with ThreadPoolExecutor(1) as other:
        with readers.admitted(Party("person", 1)):
            waiting = other.submit(come)
            wait_until(lambda: clock.looks > 1)
            clock.seconds += LONG_SECONDS
            looks = clock.looks
            wait_until(lambda: clock.looks > looks or waiting.done())

        assert waiting.result(PATIENCE_SECONDS)
