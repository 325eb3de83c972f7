"""Calls that the server does not know: of clients of another version, or of scanners."""

import logging
import re
from typing import Any

import grpc

from grpc_api.transport.metrics import UNKNOWN_CALLS
from grpc_api.transport.peers import peer_of
from grpc_api.transport.rate_limited_log import RateLimitedLog

# The path of a call. Anything else may be an attack on the terminal that shows the log.
_PATH = re.compile(r"/[\w.]{1,200}/\w{1,100}", re.ASCII)
_LINES_A_MINUTE = 10


class UnknownCalls(grpc.GenericRpcHandler):
    """The last of a server's handlers: refuses what no other has taken, without reading the request."""

    def __init__(self) -> None:
        self._log = RateLimitedLog(logging.getLogger("rainbow.grpc"), most=_LINES_A_MINUTE)

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[Any, Any]":
        path = handler_call_details.method
        shown = path if _PATH.fullmatch(path) else "of such a name"

        async def refuse(_: object, context: "grpc.aio.ServicerContext[Any, Any]") -> None:
            UNKNOWN_CALLS.inc()
            self._log.warning(
                f"there is no call {shown}", peer=peer_of(context, context.invocation_metadata()), code="UNIMPLEMENTED"
            )
            text = f"this server has no call {shown}; its client may be of another version"
            await context.abort(grpc.StatusCode.UNIMPLEMENTED, text)

        return grpc.stream_unary_rpc_method_handler(refuse)
