"""Files that jobs are submitted with."""

from collections.abc import AsyncIterator
from datetime import datetime
from functools import partial

from clusters.callers import Caller
from grpc_api.rpcs.call import Call
from grpc_api.rpcs.messages import timestamp
from grpc_api.rpcs.server_state import PULLERS, SUBMITTERS, ServerState, bearer_claim
from grpc_api.runtime.streams import until
from jobs.queries.inputs import read_input
from jobs.services.inputs import check_size, keep_input
from rainbow.errors import InvalidArgument
from rainbow.protos import rainbow_pb2 as pb


class InputRpcs:
    def __init__(self, server: ServerState) -> None:
        self._server = server

    async def PutInputs(
        self, requests: AsyncIterator[pb.PutInputsRequest], call: Call
    ) -> AsyncIterator[pb.PutInputsResponse]:
        """Of each call the parts of one file are in memory. Nobody unknown has any of theirs kept there."""
        parts, size, files = list[bytes](), 0, 0
        async for request in until(self._server.wakeups.closing, requests):
            claim = bearer_claim(call, request.cluster, SUBMITTERS)
            if not parts:
                await self._server.caller(claim)
            size += len(request.content)
            check_size(size)
            parts.append(request.content)
            if not request.last:
                continue
            answered = await self._server.write(partial(_keep, b"".join(parts)), request, claim, call)
            parts, size, files = [], 0, files + 1
            call.note(inputs=files)
            yield answered.reply
        if parts:
            raise InvalidArgument("the last part of a file is missing", field="last")

    async def GetInput(self, request: pb.GetInputRequest, call: Call) -> pb.GetInputResponse:
        claim = bearer_claim(call, request.cluster, PULLERS)
        return (await self._server.read(_read, request, claim, call)).reply


def _keep(content: bytes, request: pb.PutInputsRequest, caller: Caller, now: datetime) -> pb.PutInputsResponse:
    kept = keep_input(caller=caller, project=request.project, content=content, now=now)
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
