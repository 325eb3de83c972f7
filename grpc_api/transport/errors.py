"""From exceptions to gRPC codes."""

import logging

import grpc
from django.db import InterfaceError, OperationalError

from rainbow.errors import RainbowError, Unavailable
from rainbow.telemetry.failures import told
from rainbow.telemetry.lines import Line, Quoted

# Names the field at fault, for programs.
FIELD_METADATA_KEY = "rainbow-field"
# Of a limit that is reached: in how many seconds the call may be made again.
RETRY_AFTER_METADATA_KEY = "retry-after"

_log = logging.getLogger("rainbow.grpc")


def status_of(error: Exception, *, request_id: str) -> tuple[grpc.StatusCode, RainbowError]:
    """The code to answer with, and the error to describe. An unexpected one is logged here, with its traceback."""
    if isinstance(error, RainbowError):
        return grpc.StatusCode[error.code], error
    if isinstance(error, OperationalError | InterfaceError):
        _log.warning(Line("database does not answer", error=Quoted(told(error)), request_id=request_id))
        return grpc.StatusCode.UNAVAILABLE, Unavailable("the database does not answer now; try again")
    _log.error(Line("unexpected failure", request_id=request_id), exc_info=error)
    return grpc.StatusCode.INTERNAL, RainbowError("internal server error; the server's log has the details")
