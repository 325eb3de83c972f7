"""What a failed gRPC call means: a refusal in the server's words, or a connection that broke before any."""

import re
from collections.abc import Callable, Iterable
from typing import cast

import grpc

from rainbow import translation
from rainbow.connection_diagnosis import WEB_PORT
from rainbow.errors import BY_CODE, DeadlineExceeded, RainbowError, Unavailable, Unimplemented, Unreachable, Untouched
from rainbow.text import on_one_line

FIELD_KEY = "rainbow-field"
# In how many seconds there may be room, where a limit of the caller refuses a call for now.
RETRY_AFTER_KEY = "retry-after"
# A server that did nothing about a call says so by this, with the milliseconds to wait (gRPC proposal A6).
PUSHBACK_KEY = "grpc-retry-pushback-ms"
LONGEST_PUSHBACK_MS = 60_000
# gRPC's words for a call that never left: connection refused, no such name.
NEVER_SENT = ("failed to connect to all addresses", "errors resolving", "DNS resolution failed")
# For one that ended without a status from the server, whichever code gRPC made of that, with the reason in brackets.
BROKEN = re.compile(r"Stream removed \((?P<why>.*)\)?", re.DOTALL)
# Of the reasons, those that it has words of its own for.
MEANINGS = {
    "Socket closed": "the connection was closed",
    "Broken pipe": "the connection was closed",
    "Connection reset": "the connection was reset",
    "ping timeout": "the connection is dead",
    "GOAWAY": "it ended the connection",
    "RST_STREAM": "it broke off the call",
}
# For an answer that the client does not take.
TOO_LARGE = (
    "CLIENT: Received message larger than max",
    "Decompressed message larger than max",
    "metadata size exceeds",
)
NOT_UNDERSTOOD = "Exception deserializing response"
# For an answer of another kind of server, such as a proxy on the way.
HTTP_STATUS = re.compile(r"Received http2 header with status: (?P<number>\d{1,3})")
# For one that the client cancelled itself, since no answer came.
GIVEN_UP = "Locally cancelled"
# gRPC's own word for a call that a server does not know.
NO_SUCH_CALL = "Method not found!"
# A server that stops cancels what it has not finished.
AWAY = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)


def failure_of(
    error: grpc.RpcError, *, host: str, diagnose: Callable[[str], str], is_connecting: Callable[[], bool]
) -> RainbowError:
    """`diagnose` says why no connection was made, from the details that gRPC gives."""
    details = on_one_line(error.details() or "no reason given", longest=translation.LONGEST_MESSAGE)
    if error.code() == grpc.StatusCode.DEADLINE_EXCEEDED:
        if is_connecting():
            return Unreachable(f"{host} cannot be reached: no connection came about in time")
        return DeadlineExceeded(f"{host} did not answer in time; it may have done its work all the same")
    if error.code() in AWAY and details.startswith(NEVER_SENT):
        return _unreachable(host, diagnose(details))
    if any(words in details for words in TOO_LARGE):
        return translation.nonsense("it is too large")
    if details.startswith(NOT_UNDERSTOOD):
        return translation.nonsense()
    if details == NO_SUCH_CALL:
        return Unimplemented(f"{host} does not know this call; its version of rainbow may be older than this one")
    if broken := BROKEN.match(details):
        return Unavailable(f"{host} is not available: {_meaning(broken['why'])}")
    if details.startswith(GIVEN_UP):
        return Unavailable(f"{host} did not answer in time")
    if of_another := HTTP_STATUS.match(details):
        text = f"something other than a rainbow server answered at {host}, with HTTP status {of_another['number']}"
        kind = Unavailable if error.code() in AWAY else BY_CODE.get(error.code().name, RainbowError)
        return kind(text)
    if error.code() in AWAY:
        return _unavailable(f"{host} is not available: {details}", pushback=_trailer(error, PUSHBACK_KEY))
    seconds = _trailer(error, RETRY_AFTER_KEY)
    return translation.failure(
        error.code().name,
        details,
        field=_trailer(error, FIELD_KEY),
        retry_after_seconds=int(seconds[:9]) if seconds.isascii() and seconds.isdecimal() else 0,
    )


def _unreachable(host: str, why: str) -> Unreachable:
    failure = Unreachable(f"{host} cannot be reached: {why}")
    failure.lasts = why == WEB_PORT
    return failure


def _unavailable(text: str, *, pushback: str) -> Unavailable:
    if not (pushback.isascii() and pushback.isdecimal()):
        return Unavailable(text)
    failure = Untouched(text)
    failure.pause_seconds = min(int(pushback[:9]), LONGEST_PUSHBACK_MS) / 1000
    return failure


def _meaning(why: str) -> str:
    return next((meaning for words, meaning in MEANINGS.items() if words in why), why.removesuffix(")"))


def _trailer(error: grpc.RpcError, key: str) -> str:
    # Pairs, those of synchronous calls with names besides.
    pairs = cast("Iterable[tuple[str, str | bytes]]", error.trailing_metadata() or ())
    values = [value for name, value in pairs if name == key]
    return str(values[0]) if values else ""
