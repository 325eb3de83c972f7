"""What an RPC's method knows of its call beside the request."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from rainbow.telemetry.traces import NO_SPAN, Span

# A peer that a proxy names begins with it: its address follows, without a port.
FORWARDED = "forwarded:"
_SCHEME = "bearer "
# A waiting call is answered this long before its client gives up.
ANSWER_BEFORE_SECONDS = 0.5


@dataclass(slots=True, kw_only=True)
class Call:
    """`request_id` is the one that the client sent, or a new one where it sent none, or none that is valid.
    `seconds_left` until the client's deadline; None when it set none. `notes` go into the log line.

    `peer` returns the client's address (grpc_api/transport/peers.py), `certified` the clusters that its certificate is
    for, None without one, and `forwarded` whether a proxy passed the call on; functions, since few calls need them.
    """

    bearer: str
    seconds_left: float | None
    knows_extensions: bool
    peer: Callable[[], str]
    certified: Callable[[], frozenset[str] | None]
    forwarded: Callable[[], bool] = lambda: False
    request_id: str = ""
    sent_request_id: bool = False
    span: Span = NO_SPAN
    notes: dict[str, object] = field(default_factory=dict)

    def patience(self, wait_seconds: int) -> float:
        """How long the call may be held: as long as it asks, but its answer must arrive before its deadline."""
        if self.seconds_left is None:
            return wait_seconds
        return min(wait_seconds, self.seconds_left - ANSWER_BEFORE_SECONDS)

    def note(self, **facts: object) -> None:
        """Adds to the call's line of log. Never a credential, nor unchecked text."""
        self.notes.update(facts)


def bearer_in(metadata: Iterable[tuple[str, str | bytes]] | None) -> str:
    """The value of `authorization: Bearer …` (RFC 6750, section 2.1); empty when there is none."""
    for key, value in metadata or ():
        if key == "authorization" and isinstance(value, str) and value.lower().startswith(_SCHEME):
            return value[len(_SCHEME) :].strip()
    return ""
