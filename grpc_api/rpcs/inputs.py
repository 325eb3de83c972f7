"""Files that jobs are submitted with."""

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from functools import partial

from clusters.callers import Caller
from grpc_api.rpcs.call import Call
from grpc_api.rpcs.messages import timestamp
from grpc_api.rpcs.server_state import PULLERS, SUBMITTERS, ServerState, bearer_claim
from grpc_api.runtime.streams import until
from jobs.queries.inputs import read_input
from jobs.services.inputs import check_size, keep_input
from rainbow.errors import InvalidArgument, LimitReached
from rainbow.protos import rainbow_pb2 as pb

# At most so many files of which parts are here, in this process and of one credential: each may have 4 MiB. A file of
# one part is none of them.
MOST_UNFINISHED, MOST_OF_A_CREDENTIAL = 64, 32
_RETRY_AFTER_SECONDS = 10


class InputRpcs:
    def __init__(self, server: ServerState) -> None:
        self._server = server
        self._unfinished: Counter[int] = Counter()

    async def PutInputs(
        self, requests: AsyncIterator[pb.PutInputsRequest], call: Call
    ) -> AsyncIterator[pb.PutInputsResponse]:
        """Of each call the parts of one file are in memory. Nobody unknown has any of theirs kept there."""
        content, files = bytearray(), 0
        with ExitStack() as unfinished:
            async for request in until(self._server.wakeups.closing, requests):
                claim = bearer_claim(call, request.cluster, SUBMITTERS)
                if not content:
                    credential = (await self._server.caller(claim)).credential_id
                    if not request.last:
                        unfinished.enter_context(self._room_for_file(credential))
                _check(request, len(content))
                content += request.content
                if not request.last:
                    del request
                    continue
                reply = (await self._server.write(partial(_keep, content), request, claim, call)).reply
                content, files = bytearray(), files + 1
                unfinished.close()
                call.note(inputs=files)
                del request
                yield reply
                del reply
            if content:
                raise InvalidArgument("the last part of a file is missing", field="last")

    async def GetInput(self, request: pb.GetInputRequest, call: Call) -> pb.GetInputResponse:
        claim = bearer_claim(call, request.cluster, PULLERS)
        return (await self._server.read(_read, request, claim, call)).reply

    @contextmanager
    def _room_for_file(self, credential: int) -> Iterator[None]:
        """Raises LimitReached."""
        if self._unfinished.total() >= MOST_UNFINISHED:
            raise LimitReached("so many files are being put here already", retry_after_seconds=_RETRY_AFTER_SECONDS)
        if self._unfinished[credential] >= MOST_OF_A_CREDENTIAL:
            raise LimitReached(
                "so many files are being put with this credential already", retry_after_seconds=_RETRY_AFTER_SECONDS
            )
        self._unfinished[credential] += 1
        try:
            yield
        finally:
            self._unfinished[credential] -= 1
            if not self._unfinished[credential]:
                del self._unfinished[credential]


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
