"""Calls that the server does not know: of clients of another version, or of scanners."""

import logging
import re

import grpc

from grpc_api.transport.calls import Connection, Refusal
from grpc_api.transport.metrics import UNKNOWN_CALLS
from grpc_api.transport.peers import peer_of
from grpc_api.transport.rate_limited_log import RateLimitedLog

# The path of a call. Anything else may be an attack on the terminal that shows the log.
_PATH = re.compile(r"/[\w.]{1,200}/\w{1,100}", re.ASCII)
_LINES_A_MINUTE = 10


class UnknownCalls:
    def __init__(self) -> None:
        self._log = RateLimitedLog(logging.getLogger("rainbow.grpc"), most=_LINES_A_MINUTE)

    def refuse(self, path: str, connection: Connection) -> Refusal:
        """Counts and logs the call."""
        shown = path if _PATH.fullmatch(path) else "of such a name"
        UNKNOWN_CALLS.inc()
        self._log.warning(
            f"there is no call {shown}",
            peer=peer_of(connection, connection.invocation_metadata()),
            code="UNIMPLEMENTED",
        )
        text = f"this server has no call {shown}; its client may be of another version"
        return Refusal(code=grpc.StatusCode.UNIMPLEMENTED, message=text)
