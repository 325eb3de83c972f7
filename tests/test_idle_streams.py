"""What a stream holds of the messages that it was sent, while it waits for the next."""

import asyncio
import sys
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from copy import deepcopy
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from google.protobuf.message import Message

from clusters.callers import Party
from grpc_api.rpcs import inputs, output
from grpc_api.rpcs.connectivity import ConnectivityRpcs
from grpc_api.rpcs.inputs import InputRpcs
from grpc_api.rpcs.output import STALLED, OutputRpcs
from grpc_api.rpcs.server_state import Answered
from grpc_api.rpcs.submission import Submission, SubmissionRpcs
from grpc_api.runtime.thread_pools import ThreadPools
from grpc_api.runtime.wakeups import Wakeups
from grpc_api.transport.calls import SERVICE, Method
from grpc_api.transport.formats import format_of
from grpc_api.transport.handlers import Handlers
from grpc_api.transport.requests import Requests
from grpc_api.transport.shedding import Load
from grpc_api.transport.unknown import UnknownCalls
from jobs.queries.relays import Chunk
from jobs.services.relays import Opened
from rainbow.errors import InvalidArgument, LimitReached, Unavailable
from rainbow.protos import rainbow_pb2 as pb
from rainbow.telemetry.traces import NO_SPAN
from tests.support.patience import PATIENCE_SECONDS

CALLER = SimpleNamespace(cluster="alpha", party=Party("credential", 1), holders=())
Replies = AsyncIterator[Message]


class Idle:
    """A connection that brings these messages, and then nothing."""

    def __init__(self, messages: list[bytes]) -> None:
        self._messages = deque(messages)
        self.is_idle = asyncio.Event()

    async def read(self) -> bytes:
        if not self._messages:
            self.is_idle.set()
            await asyncio.Event().wait()
        return self._messages.popleft()

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return ()

    def time_remaining(self) -> None:
        return None

    def peer(self) -> str:
        return "unix:"

    def auth_context(self) -> Mapping[str, list[bytes]]:
        return {}


class Answering:
    """The state of a server that answers each request at once, with a reply like this."""

    def __init__(self, reply: Any) -> None:
        self._reply = reply
        self.pools = ThreadPools()
        self.wakeups = Wakeups()

    async def write(self, *_: object) -> Answered[Any]:
        return Answered(caller=CALLER, reply=deepcopy(self._reply))  # type: ignore[arg-type]

    async def caller(self, _: object) -> Any:
        return CALLER


def submitting() -> Callable[..., Replies]:
    reply = Submission(reply=pb.SubmitJobsResponse(results=[pb.SubmitResult(jobid=1)]), refused=0)
    return SubmissionRpcs(Answering(reply), batch=1).SubmitJobStream  # type: ignore[arg-type]


def putting() -> Callable[..., Replies]:
    return InputRpcs(Answering(pb.PutInputsResponse(size=1))).PutInputs  # type: ignore[arg-type]


def echoing() -> Callable[..., Replies]:
    return ConnectivityRpcs(Answering(None)).Stream  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("answer", "request_"),
    [
        (submitting, pb.SubmitJobStreamRequest(jobs=[pb.JobSpec(command="true")])),
        (putting, pb.PutInputsRequest(content=b"x", last=True)),
        (echoing, pb.Request(content=pb.Content(id="1"))),
    ],
    ids=["SubmitJobStream", "PutInputs", "Stream"],
)
def test_a_stream_that_waits_for_its_next_message_holds_none(
    answer: Callable[[], Callable[..., Replies]], request_: Message
) -> None:
    async def held() -> list[int]:
        rpc = answer()
        form, decoded = format_of(SERVICE.methods_by_name[rpc.__name__]), list[Message]()
        noting = replace(form, decode=lambda data: decoded.append(form.decode(data)) or decoded[-1])  # type: ignore[func-returns-value]
        data = request_.SerializeToString()
        method = Method(
            SERVICE.methods_by_name[rpc.__name__], noting, rpc, load=Load(most_calls=1), requests=Requests(admit=idle)
        )
        connection = Idle([data])
        path = SimpleNamespace(method="/a")
        handler: Any = Handlers({"/a": method}, UnknownCalls()).service(path)  # type: ignore[arg-type]
        replies: Replies = handler.stream_stream(None, connection)
        reply = await anext(replies)
        waiting = asyncio.ensure_future(anext(replies))
        await connection.is_idle.wait()
        try:
            # Beside this function's own references, the list's and the argument's.
            return [sys.getrefcount(data) - 2, sys.getrefcount(decoded[0]) - 2, sys.getrefcount(reply) - 2]
        finally:
            waiting.cancel()

    assert asyncio.run(asyncio.wait_for(held(), PATIENCE_SECONDS)) == [0, 0, 0]


async def idle(_: object) -> None:
    return None


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        ("MOST_UNFINISHED", "so many files are being put here already"),
        ("MOST_OF_A_PARTY", "so many files are being put for this credential already"),
    ],
)
def test_files_that_are_not_whole_yet_are_limited(monkeypatch: pytest.MonkeyPatch, limit: str, words: str) -> None:
    monkeypatch.setattr(inputs, limit, 1)
    rpc = putting()
    begun, whole = pb.PutInputsRequest(content=b"x"), pb.PutInputsRequest(content=b"x", last=True)
    call: Any = SimpleNamespace(bearer="", certified=lambda: None, request_id="", span=NO_SPAN, note=lambda **_: None)

    async def parts(came: asyncio.Queue[pb.PutInputsRequest]) -> AsyncIterator[pb.PutInputsRequest]:
        while True:
            yield await came.get()

    async def one(part: pb.PutInputsRequest) -> AsyncIterator[pb.PutInputsRequest]:
        yield part

    async def scene() -> None:
        came = asyncio.Queue[pb.PutInputsRequest]()
        first = rpc(parts(came), call)
        answer = asyncio.ensure_future(anext(first))
        came.put_nowait(begun)
        for _ in range(20):
            await asyncio.sleep(0)
        with pytest.raises(LimitReached, match=words):
            await anext(rpc(one(begun), call))
        # One of a single part holds none.
        await anext(rpc(one(whole), call))
        came.put_nowait(whole)
        await answer
        # The room of what is whole is free, also while its stream goes on.
        with pytest.raises(InvalidArgument, match="the last part of a file is missing"):
            await anext(rpc(one(begun), call))
        came.put_nowait(begun)
        answer = asyncio.ensure_future(anext(first))
        for _ in range(20):
            await asyncio.sleep(0)
        answer.cancel()
        await asyncio.wait([answer])
        # As is that of a call that was given up.
        with pytest.raises(InvalidArgument, match="the last part of a file is missing"):
            await anext(rpc(one(begun), call))

    asyncio.run(asyncio.wait_for(scene(), PATIENCE_SECONDS))


def test_a_file_whose_next_part_does_not_come_gives_its_place_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inputs, "MOST_UNFINISHED", 1)
    monkeypatch.setattr(inputs, "STALL_SECONDS", 0.01)
    rpc = putting()
    call: Any = SimpleNamespace(bearer="", certified=lambda: None, request_id="", span=NO_SPAN)

    async def begun() -> AsyncIterator[pb.PutInputsRequest]:
        yield pb.PutInputsRequest(content=b"x")
        await asyncio.Event().wait()

    async def scene() -> None:
        for _ in range(2):
            with pytest.raises(Unavailable, match=inputs.STALLED):
                await anext(rpc(begun(), call))

    asyncio.run(asyncio.wait_for(scene(), PATIENCE_SECONDS))


@pytest.mark.parametrize("whole", [False, True], ids=["amid a file", "between files"])
def test_who_puts_files_is_told_that_the_server_stops(whole: bool) -> None:
    """Who is told of a mistake, or of none and gets fewer answers than there are files, would not try again."""
    server = Answering(pb.PutInputsResponse(size=1))
    call: Any = SimpleNamespace(bearer="", certified=lambda: None, request_id="", span=NO_SPAN, note=lambda **_: None)

    async def begun() -> AsyncIterator[pb.PutInputsRequest]:
        yield pb.PutInputsRequest(content=b"x", last=whole)
        server.wakeups.closing.set()
        await asyncio.Event().wait()

    async def put() -> None:
        async for _ in InputRpcs(server).PutInputs(begun(), call):  # type: ignore[arg-type]
            pass

    with pytest.raises(Unavailable, match="the server stops"):
        asyncio.run(asyncio.wait_for(put(), PATIENCE_SECONDS))


def test_a_reader_that_takes_nothing_gives_its_place_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its call stands where it sends, so that neither the end of the job nor that of its credential would end it."""
    monkeypatch.setattr(output, "MOST_READERS", 1)
    monkeypatch.setattr(output, "STALL_SECONDS", 0.01)
    call: Any = SimpleNamespace(bearer="", certified=lambda: None, request_id="", span=NO_SPAN)
    server = Answering(Opened(id="relay", attempt=1, start=0))
    server.pools = NoDatabase()  # type: ignore[assignment]
    rpcs = OutputRpcs(server)  # type: ignore[arg-type]

    async def scene() -> None:
        reading = rpcs.ReadOutput(pb.ReadOutputRequest(jobid=1), call)
        first = asyncio.ensure_future(anext(reading))
        while not rpcs._windows.put("relay", Chunk(offset=0, data=b"x")):
            await asyncio.sleep(0)
        assert (await first).data == b"x"
        with pytest.raises(LimitReached):
            rpcs._readers.check()

        while "relay" in rpcs._windows:
            await asyncio.sleep(0.001)

        rpcs._readers.check()
        with pytest.raises(Unavailable, match=STALLED):
            await anext(reading)

    asyncio.run(asyncio.wait_for(scene(), PATIENCE_SECONDS))


class NoDatabase:
    """In which there are no chunks, and nothing is written."""

    async def read(self, _: object) -> list[Chunk]:
        return []

    async def write(self, _: object) -> None:
        return None
