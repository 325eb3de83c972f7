"""What jobs wrote, from their agents to readers: what arrives here is passed on, within this process or by a few rows
of the database, and kept nowhere.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any

from django.db import Error

from clusters.callers import Caller
from clusters.places import Places
from grpc_api.rpcs.call import Call
from grpc_api.rpcs.server_state import ANY, PULLERS, ServerState, bearer_claim
from grpc_api.runtime.streams import until
from grpc_api.runtime.wakeups import wait_for
from grpc_api.runtime.windows import Windows
from jobs.notify import RelayId
from jobs.queries.lookup import within_reach
from jobs.queries.relays import Chunk, chunks_of
from jobs.services.relays import (
    NO_ANSWER,
    Opened,
    begin_relay,
    end_relay,
    may_send,
    note_reader,
    pass_on,
    taken,
)
from jobs.states import OutputSource
from jobs.waited import LOOK_AT_LEAST_EVERY_SECONDS, Waited
from rainbow.errors import (
    NO_SUCH_JOB,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    Unavailable,
)
from rainbow.protos import rainbow_pb2 as pb

MAX_CHUNK = 256 * 1024
# At most so many readers in this process, and of one party: each may have three quarters of a mebibyte under way.
MOST_READERS, MOST_OF_A_PARTY = 64, 32
# An agent that has nothing new says that it is there every five seconds.
FIRST_ANSWER_SECONDS, SILENCE_SECONDS = 10.0, 30.0
# How often a reader is admitted again, and its relay says that it is there.
ADMIT_EVERY_SECONDS, NOTE_EVERY_SECONDS = 1.0, 15.0
# A reader that takes nothing for so long is given up.
STALL_SECONDS = 300.0
CUT = "the connection of the cluster's agent was cut"
STALLED = "the reader took nothing for so long that it was given up"
SOURCES = {
    pb.OUTPUT_SOURCE_UNSPECIFIED: OutputSource.STDOUT,
    pb.OUTPUT_SOURCE_STDOUT: OutputSource.STDOUT,
    pb.OUTPUT_SOURCE_STDERR: OutputSource.STDERR,
    pb.OUTPUT_SOURCE_FILE: OutputSource.FILE,
    pb.OUTPUT_SOURCE_LISTING: OutputSource.LISTING,
}


class OutputRpcs:
    def __init__(self, server: ServerState) -> None:
        self._server = server
        self._windows = Windows(server.wakeups)
        self._readers = Places(most=MOST_READERS, of_a_party=MOST_OF_A_PARTY, what="outputs are read")
        self._endings: set[asyncio.Task[None]] = set()

    async def ReadOutput(self, request: pb.ReadOutputRequest, call: Call) -> AsyncIterator[pb.ReadOutputResponse]:
        claim = replace(bearer_claim(call, request.cluster, ANY), reads=True)
        # Before it is written down that there is another one.
        self._readers.check()
        opening = Opening()
        try:
            answered = await self._server.write(opening.begin, request, claim, call)
        except BaseException:
            self._give_up(opening)
            raise
        opened, caller = answered.reply, answered.caller
        self._windows.open(opened.id)
        with ExitStack() as held:
            held.callback(lambda: self._later(self._end(opened)))
            held.callback(self._windows.close, opened.id)
            held.enter_context(self._readers.taken(caller.party))
            wakeup = held.enter_context(self._server.wakeups.subscribe(RelayId(opened.id), *caller.holders))
            async for answer in self._answers(request, opened, wakeup, call):
                with _if_it_stalls(held.close):
                    yield answer
                if opened.id not in self._windows:
                    raise Unavailable(STALLED)

    async def SendOutput(
        self, requests: AsyncIterator[pb.SendOutputRequest], call: Call
    ) -> AsyncIterator[pb.SendOutputResponse]:
        sent: Sent | None = None
        try:
            async for request in until(self._server.wakeups.closing, requests):
                if sent is None:
                    claim = bearer_claim(call, request.cluster, PULLERS)
                    # A token that may only read is no agent's.
                    await self._server.caller(claim)
                    opened = (await self._server.read(find, request, claim, call)).reply
                    sent = Sent(self._server, self._windows, opened)
                there = await sent.put(request)
                is_last = request.end or not there
                del request
                yield pb.SendOutputResponse(stop=not there)
                if is_last:
                    return
        finally:
            if sent is not None:
                self._later(sent.cut())

    async def _answers(
        self, request: pb.ReadOutputRequest, opened: Opened, wakeup: asyncio.Event, call: Call
    ) -> AsyncIterator[pb.ReadOutputResponse]:
        claim = bearer_claim(call, request.cluster, ANY)
        clock = asyncio.get_running_loop().time
        admitted_at = noted_at = clock()
        next_byte, patience, waited = opened.start, FIRST_ANSWER_SECONDS, Waited()
        while True:
            wakeup.clear()
            chunks = self._windows.take(opened.id) or await self._from_database(opened.id)
            for chunk in chunks:
                # From the end, the agent says where that is.
                next_byte = chunk.offset if next_byte < 0 else next_byte
                if chunk.offset != next_byte:
                    raise Unavailable(f"{CUT}: it sent what was not wanted")
                if chunk.error == CUT:
                    raise Unavailable(CUT)
                if chunk.error:
                    raise FailedPrecondition(chunk.error)
                next_byte += len(chunk.data)
                if chunk.data or patience == FIRST_ANSWER_SECONDS:
                    yield pb.ReadOutputResponse(offset=chunk.offset, data=chunk.data, attempt=opened.attempt)
                patience, waited = SILENCE_SECONDS, Waited()
                if chunk.end:
                    return
            if self._server.wakeups.closed:
                raise Unavailable("the server stops")
            if clock() - admitted_at >= ADMIT_EVERY_SECONDS:
                await self._server.read(still_sees, request, claim, call)
                admitted_at = clock()
            if clock() - noted_at >= NOTE_EVERY_SECONDS:
                note = partial(note_reader, relay=opened.id, now=self._server.clock())
                await self._server.pools.write(note)
                noted_at = clock()
            if waited.look() >= patience:
                raise FailedPrecondition(NO_ANSWER) if patience == FIRST_ANSWER_SECONDS else Unavailable(CUT)
            if not chunks:
                await wait_for(wakeup, at_most=LOOK_AT_LEAST_EVERY_SECONDS)

    async def _from_database(self, relay: str) -> list[Chunk]:
        found = await self._server.pools.read(partial(chunks_of, relay))
        if found:
            await self._server.pools.write(partial(taken, relay=relay, ids=[id for id, _ in found]))
        return [chunk for _, chunk in found]

    def _give_up(self, opening: "Opening") -> None:
        opening.is_given_up = True
        if opening.opened is not None:
            self._later(self._end(opening.opened))

    async def _end(self, opened: Opened) -> None:
        """What cannot be ended now is ended later (jobs/services/relays.py)."""
        with suppress(Error, Unavailable):
            await self._server.pools.write(partial(end_relay, relay=opened.id))

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        """In a task of its own, since the call may be cancelled."""
        ending = asyncio.get_running_loop().create_task(work)
        self._endings.add(ending)
        ending.add_done_callback(self._endings.discard)


class Opening:
    """A relay that a thread begins for a call, which may be given up before it learns of the relay."""

    def __init__(self) -> None:
        self.opened: Opened | None = None
        self.is_given_up = False

    def begin(self, request: pb.ReadOutputRequest, caller: Caller, now: datetime) -> Opened:
        self.opened = begin(request, caller, now)
        # The call sets this before it looks at `opened`: whichever of the two comes later ends the relay, or both do.
        if self.is_given_up:
            end_relay(relay=self.opened.id)
        return self.opened


class Sent:
    """What one agent sends to one reader."""

    def __init__(self, server: ServerState, windows: Windows, opened: Opened) -> None:
        self._server = server
        self._windows = windows
        self._opened = opened
        self._is_here = opened.id in windows
        self._next = opened.start
        self._over = False

    async def put(self, request: pb.SendOutputRequest) -> bool:
        """Waits until there is room. Whether the reader is still there; raises InvalidArgument."""
        chunk = Chunk(offset=request.offset, data=request.data, end=request.end, error=request.error)
        self._check(chunk)
        self._next += len(chunk.data)
        self._over = chunk.end
        return await self._put(chunk)

    async def cut(self) -> None:
        """No more comes, though this was not the end."""
        if not self._over:
            self._over = True
            with suppress(Error, Unavailable):
                await self._put(Chunk(offset=self._next, end=True, error=CUT))

    def _check(self, chunk: Chunk) -> None:
        if len(chunk.data) > MAX_CHUNK:
            raise InvalidArgument(f"must be at most {MAX_CHUNK:,} bytes, not {len(chunk.data):,}", field="data")
        self._next = max(0, chunk.offset) if self._next < 0 else self._next
        if chunk.offset != self._next:
            raise InvalidArgument(f"must be {self._next:,}, where the chunk before ended", field="offset")
        if len(chunk.error) > 1_000 or not chunk.error.isprintable():
            raise InvalidArgument("must be a line of at most 1,000 characters", field="error")
        if chunk.error and not chunk.end:
            raise InvalidArgument("is only for the last chunk", field="error")

    async def _put(self, chunk: Chunk) -> bool:
        clock = asyncio.get_running_loop().time
        until_then = clock() + STALL_SECONDS
        with self._server.wakeups.subscribe(RelayId(self._opened.id)) as wakeup:
            while True:
                wakeup.clear()
                there = await self._try(chunk)
                if there is not False:
                    return bool(there)
                if clock() >= until_then or self._server.wakeups.closed:
                    return False
                await wait_for(wakeup, at_most=LOOK_AT_LEAST_EVERY_SECONDS)

    async def _try(self, chunk: Chunk) -> bool | None:
        if self._is_here:
            return self._windows.put(self._opened.id, chunk)
        return await self._server.pools.write(partial(pass_on, relay=self._opened.id, chunk=chunk))


@contextmanager
def _if_it_stalls(give_up: Callable[[], None]) -> Iterator[None]:
    """Around a `yield`, where a call stands until its client takes what is yielded: also one that may go on no more."""
    stalls = asyncio.get_running_loop().call_later(STALL_SECONDS, give_up)
    try:
        yield
    finally:
        stalls.cancel()


def begin(request: pb.ReadOutputRequest, caller: Caller, now: datetime) -> Opened:
    if request.source not in SOURCES:
        raise InvalidArgument("must be one of 1 to 4", field="source")
    return begin_relay(
        by=caller,
        job_id=request.jobid,
        source=SOURCES[request.source],
        start=request.from_byte,
        follow=request.follow,
        file=request.file,
        now=now,
    )


def find(request: pb.SendOutputRequest, caller: Caller, now: datetime) -> Opened:
    return may_send(caller=caller, agent=request.agent, relay=request.stream, now=now)


def still_sees(request: pb.ReadOutputRequest, caller: Caller, now: datetime) -> None:
    if not within_reach(caller).filter(id=request.jobid).exists():
        raise NotFound(NO_SUCH_JOB)
