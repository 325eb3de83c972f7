"""The failures that rainbow expects, each named by its canonical code.

The server's services raise them, its transports turn them into answers, and the client turns answers back into them.
Codes: https://grpc.io/docs/guides/status-codes/
"""

# Of one that does not exist and of one that is not the caller's alike, over every transport.
NO_SUCH_JOB = "there is no such job"
NO_SUCH_GROUP = "there is no such group"


class RainbowError(Exception):
    """A failure with a message for the person who can do something about it.

    `field` names the input at fault; it is empty where no single input is. `may_be_done`: the server may have done
    what was asked all the same, and only its answer is missing. Jobs that a client then does not know to be queued are
    submitted again under `idempotency_keys`, which makes no second ones. `request_id` is that of the client's call.
    """

    code: str = "UNKNOWN"
    may_be_done: bool = True

    def __init__(self, message: str, *, field: str = "") -> None:
        super().__init__(f"{field}: {message}" if field else message)
        self.message = message
        self.field = field
        self.idempotency_keys: tuple[str, ...] = ()
        self.request_id = ""


def why(error: OSError | UnicodeDecodeError) -> str:
    """Why a file could not be used, without the path, which the message names itself."""
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8"
    text = error.strerror or str(error)
    return text[:1].lower() + text[1:]


class InvalidArgument(RainbowError):
    """The input is wrong, whatever the state of the system."""

    code = "INVALID_ARGUMENT"
    may_be_done = False


class Unauthenticated(RainbowError):
    """The credential is missing, wrong, expired or revoked, or belongs to something else."""

    code = "UNAUTHENTICATED"
    may_be_done = False


class PermissionDenied(RainbowError):
    """The credential is good, and of a kind that may not do this."""

    code = "PERMISSION_DENIED"
    may_be_done = False


class NotFound(RainbowError):
    """There is no such thing, or it is somebody else's."""

    code = "NOT_FOUND"
    may_be_done = False


class AlreadyExists(RainbowError):
    """Something else stands under this name or key."""

    code = "ALREADY_EXISTS"
    may_be_done = False


class FailedPrecondition(RainbowError):
    """The thing is not in a state that allows this."""

    code = "FAILED_PRECONDITION"
    may_be_done = False


class ResourceExhausted(RainbowError):
    """A limit of the server is reached."""

    code = "RESOURCE_EXHAUSTED"
    may_be_done = False


class LimitReached(ResourceExhausted):
    """The caller reached a limit of its own; `retry_after_seconds` (1 or more) is how long to wait."""

    def __init__(self, message: str, *, retry_after_seconds: int, field: str = "") -> None:
        super().__init__(message, field=field)
        self.retry_after_seconds = retry_after_seconds


class Unavailable(RainbowError):
    """The server cannot be reached or cannot serve now; the same call may succeed later."""

    code = "UNAVAILABLE"


class Untouched(Unavailable):
    """The server certainly did nothing about the call, so that any call may be made again.

    `pause_seconds` is how long to wait before that, as the server wishes.
    """

    may_be_done = False
    pause_seconds: float = 0.0


class Unreachable(Untouched):
    """No connection came about, so that the server did not see the call. Only clients raise it.

    `lasts`: the same call will fail again, as at a port of HTTP, and is not repeated.
    """

    lasts: bool = False


class DeadlineExceeded(RainbowError):
    """No answer came in time; the server may have done its work all the same."""

    code = "DEADLINE_EXCEEDED"


class Unimplemented(RainbowError):
    """The server does not know this call; it may be older than the client."""

    code = "UNIMPLEMENTED"
    may_be_done = False


BY_CODE: dict[str, type[RainbowError]] = {
    error.code: error
    for error in (
        InvalidArgument,
        Unauthenticated,
        PermissionDenied,
        NotFound,
        AlreadyExists,
        FailedPrecondition,
        ResourceExhausted,
        Unavailable,
        DeadlineExceeded,
        Unimplemented,
    )
}
