"""Serial and Stream: connection tests, which need no credential and no database."""

from collections.abc import AsyncIterator

from grpc_api.rpcs.call import Call
from grpc_api.rpcs.server_state import ServerState
from grpc_api.runtime.streams import until
from rainbow import __version__
from rainbow.protos import rainbow_pb2 as pb


class ConnectivityRpcs:
    def __init__(self, server: ServerState) -> None:
        self._server = server

    async def Serial(self, request: pb.Request, call: Call) -> pb.Response:
        return _echo(request, 1)

    async def Stream(self, requests: AsyncIterator[pb.Request], call: Call) -> AsyncIterator[pb.Response]:
        count = 0
        async for request in until(self._server.wakeups.closing, requests):
            count += 1
            reply = _echo(request, count)
            del request
            yield reply
            del reply
        call.note(messages=count)


def _echo(request: pb.Request, count: int) -> pb.Response:
    reply = pb.Response(
        request_id=request.content.id,
        message_count=count,
        messages_processed=count,
        processing_details="processed successfully",
        server_version=__version__,
    )
    reply.answered_at.GetCurrentTime()
    return reply
