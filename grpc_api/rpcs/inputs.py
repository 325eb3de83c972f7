"""Files that jobs are submitted with."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from datetime import datetime
from functools import partial

from clusters.callers import Caller
from clusters.places import Places
from grpc_api.rpcs.call import Call
from grpc_api.rpcs.messages import timestamp
from grpc_api.rpcs.server_state import PULLERS, SUBMITTERS, ServerState, bearer_claim
from grpc_api.runtime.streams import until
from grpc_api.runtime.worker_threads import STOPS
from jobs.queries.inputs import read_input
from jobs.services.inputs import check_size, keep_input
from rainbow.errors import InvalidArgument, Unavailable
from rainbow.protos import rainbow_pb2 as pb

# At most so many files of which parts are here, in this process and of one party: each may have 4 MiB. A file of one
# part is none of them.
MOST_UNFINISHED, MOST_OF_A_PARTY = 64, 32
# A file whose next part does not come for so long is given up.
STALL_SECONDS = 300.0
STALLED = "the next part of the file did not come for so long that it was given up"


class InputRpcs:
    def __init__(self, server: ServerState) -> None:
        self._server = server
        self._unfinished = Places(most=MOST_UNFINISHED, of_a_party=MOST_OF_A_PARTY, what="files are being put")

    async def PutInputs(
        self, requests: AsyncIterator[pb.PutInputsRequest], call: Call
    ) -> AsyncIterator[pb.PutInputsResponse]:
        """Of each call the parts of one file are in memory. Nobody unknown has any of theirs kept there."""
        content, files, clock = bytearray(), 0, asyncio.get_running_loop().time
        async with _patience() as patience:
            with ExitStack() as unfinished:
                async for request in until(self._server.wakeups.closing, requests):
                    patience.reschedule(None)
                    claim = bearer_claim(call, request.cluster, SUBMITTERS)
                    if not content:
                        party = (await self._server.caller(claim)).party
                        if not request.last:
                            unfinished.enter_context(self._unfinished.taken(party))
                    _check(request, len(content))
                    content += request.content
                    if not request.last:
                        del request
                        patience.reschedule(clock() + STALL_SECONDS)
                        continue
                    reply = (await self._server.write(partial(_keep, content), request, claim, call)).reply
                    content, files = bytearray(), files + 1
                    unfinished.close()
                    call.note(inputs=files)
                    del request
                    yield reply
                    del reply
                # The rest of it may be missing, or further ones.
                if self._server.wakeups.closed:
                    raise Unavailable(STOPS)
                if content:
                    raise InvalidArgument("the last part of a file is missing", field="last")

    async def GetInput(self, request: pb.GetInputRequest, call: Call) -> pb.GetInputResponse:
        claim = bearer_claim(call, request.cluster, PULLERS)
        return (await self._server.read(_read, request, claim, call)).reply


@asynccontextmanager
async def _patience() -> AsyncIterator[asyncio.Timeout]:
    """Without an end at first. Raises Unavailable."""
    try:
        async with asyncio.timeout(None) as patience:
            yield patience
    except TimeoutError:
        raise Unavailable(STALLED) from None


def _check(part: pb.PutInputsRequest, size: int) -> None:
    """Of a file that has so many bytes before it. Raises InvalidArgument."""
    if not part.content and not part.last:
        raise InvalidArgument("must not be empty but in the last part of a file", field="content")
    check_size(size + len(part.content))


def _keep(content: bytearray, request: pb.PutInputsRequest, caller: Caller, now: datetime) -> pb.PutInputsResponse:
    kept = keep_input(caller=caller, project=request.project, content=bytes(content), now=now)
    return pb.PutInputsResponse(sha256=kept.sha256, size=kept.size, kept_until=timestamp(kept.until))


def _read(request: pb.GetInputRequest, caller: Caller, now: datetime) -> pb.GetInputResponse:
    part = read_input(
        caller=caller,
        agent=request.agent,
        job_id=request.jobid,
        attempt=request.attempt,
        sha256=request.sha256,
        offset=request.offset,
    )
    return pb.GetInputResponse(content=part.content, size=part.size)
