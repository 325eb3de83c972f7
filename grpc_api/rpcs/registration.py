"""Register: people choose the registration secret, so it can be guessed, and guesses are limited."""

from datetime import datetime
from functools import partial
from urllib.parse import unquote

from django.conf import settings

from clusters.services.register import FOR_DEVELOPMENT, Registration, check_registration_secret, register_cluster
from clusters.services.throttle import failures_counted, source_at
from grpc_api.rpcs.call import FORWARDED, Call
from grpc_api.rpcs.messages import request_id
from grpc_api.rpcs.server_state import ServerState
from rainbow.errors import PermissionDenied
from rainbow.protos import rainbow_pb2 as pb


class RegistrationRpcs:
    def __init__(self, server: ServerState, *, registration_secret: str) -> None:
        self._server = server
        self._registration_secret = registration_secret

    async def Register(self, request: pb.RegisterRequest, call: Call) -> pb.RegisterResponse:
        work = partial(
            register,
            request,
            offered_secret=request.secret or call.bearer,
            registration_secret=self._registration_secret,
            peer=call.peer(),
            forwarded=call.forwarded(),
            now=self._server.clock(),
        )
        registration = await self._server.pools.write(work, caller=address_in(call.peer()))
        call.note(cluster=request.name, result="created" if registration else "exists")
        if registration is None:
            return pb.RegisterResponse(request_id=request_id(), status=pb.RegisterResponse.REGISTER_EXISTS)
        return pb.RegisterResponse(
            request_id=request_id(),
            token=registration.token,
            secret=registration.secret,
            status=pb.RegisterResponse.REGISTER_SUCCESS,
        )


def register(
    request: pb.RegisterRequest,
    *,
    offered_secret: str,
    registration_secret: str,
    peer: str,
    forwarded: bool,
    now: datetime,
) -> Registration | None:
    """Adds a cluster; None when the name is taken. Raises InvalidArgument, and what `check_may_register` does."""
    check_may_register(
        offered_secret=offered_secret,
        registration_secret=registration_secret,
        peer=peer,
        forwarded=forwarded,
        now=now,
    )
    return register_cluster(
        name=request.name, offered_secret=offered_secret, registration_secret=registration_secret, now=now
    )


def check_may_register(
    *, offered_secret: str, registration_secret: str, peer: str, forwarded: bool, now: datetime
) -> None:
    """Raises Unauthenticated, PermissionDenied where the secret is the development one and a proxy has passed the
    call on, and LimitReached where the peer's address was refused too often of late: then the secret is not compared.
    """
    with failures_counted([source_at(address_in(peer), registering=True)], now=now, guessable=True):
        check_registration_secret(offered_secret=offered_secret, registration_secret=registration_secret)
    if forwarded and registration_secret == settings.DEVELOPMENT_SECRET:
        raise PermissionDenied(FOR_DEVELOPMENT)


def address_in(peer: str) -> str:
    """The address in what Call.peer() says: ipv4:192.0.2.7:50000, ipv6:%5B2001:db8::1%5D:50000, forwarded:192.0.2.7."""
    if peer.startswith(FORWARDED):
        return peer.removeprefix(FORWARDED)
    kind, _, place = unquote(peer).partition(":")
    return place.rpartition(":")[0].strip("[]") if kind in ("ipv4", "ipv6") else "unknown"
