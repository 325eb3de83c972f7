"""What a servicer's method knows of the call that it answers, beside the request."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

_SCHEME = "bearer "


@dataclass(slots=True, kw_only=True)
class Call:
    """`seconds_left` is the client's deadline; None when it set none. `notes` go into the log line.

    `peer` tells who is at the other end, in gRPC's words; few calls need it.
    """

    bearer: str
    seconds_left: float | None
    peer: Callable[[], str]
    notes: dict[str, object] = field(default_factory=dict)

    def note(self, **facts: object) -> None:
        """Adds facts to the call's log line. Never a credential, nor text that has not been checked."""
        self.notes.update(facts)


def bearer_in(metadata: Iterable[tuple[str, str | bytes]] | None) -> str:
    """The value of `authorization: Bearer …` (RFC 6750, section 2.1); empty when there is none."""
    for key, value in metadata or ():
        if key == "authorization" and isinstance(value, str) and value.lower().startswith(_SCHEME):
            return value[len(_SCHEME) :].strip()
    return ""
