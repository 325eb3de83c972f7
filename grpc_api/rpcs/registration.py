"""The database's part of registering: a secret that people choose can be guessed, so guesses are few."""

from datetime import datetime
from urllib.parse import unquote

from clusters.services.register import Registration, register_cluster
from clusters.services.throttle import failures_counted, source_at
from rainbow.protos import rainbow_pb2 as pb


def register(
    request: pb.RegisterRequest, *, offered_secret: str, registration_secret: str, peer: str, now: datetime
) -> Registration | None:
    """Adds a cluster; None when the name is taken.

    Raises Unauthenticated, InvalidArgument, and TooManyAttempts where too many were refused of late: then the
    secret is not even looked at.
    """
    with failures_counted([source_at(address_in(peer), registering=True)], now=now, guessable=True):
        return register_cluster(
            name=request.name, offered_secret=offered_secret, registration_secret=registration_secret, now=now
        )


def address_in(peer: str) -> str:
    """The address in what gRPC says of a peer, such as ipv4:192.0.2.7:50000 or ipv6:%5B2001:db8::1%5D:50000."""
    kind, _, place = unquote(peer).partition(":")
    return place.rpartition(":")[0].strip("[]") if kind in ("ipv4", "ipv6") else "unknown"
