"""Signing a command line in."""

from datetime import datetime
from functools import partial

from django.conf import settings

from clusters.services.logins import POLL_EVERY_SECONDS, LoginState, begin_login, collect_login
from clusters.services.personal_tokens import DEFAULT_DAYS
from grpc_api.rpcs.call import Call
from grpc_api.rpcs.messages import timestamp
from grpc_api.rpcs.people import token_to_message
from grpc_api.rpcs.registration import address_in
from grpc_api.rpcs.server_state import ServerState
from rainbow.protos import rainbow_pb2 as pb

_STATES = {
    LoginState.PENDING: pb.CollectLoginResponse.STATE_PENDING,
    LoginState.APPROVED: pb.CollectLoginResponse.STATE_APPROVED,
    LoginState.DENIED: pb.CollectLoginResponse.STATE_DENIED,
}


class LoginRpcs:
    def __init__(self, server: ServerState) -> None:
        self._server = server

    async def BeginLogin(self, request: pb.BeginLoginRequest, call: Call) -> pb.BeginLoginResponse:
        address = address_in(call.peer())
        return await self._server.pools.write(partial(begin, request, address, self._server.clock()), caller=address)

    async def CollectLogin(self, request: pb.CollectLoginRequest, call: Call) -> pb.CollectLoginResponse:
        work = partial(collect, request, self._server.clock())
        return await self._server.pools.write(work, caller=address_in(call.peer()))


def begin(request: pb.BeginLoginRequest, address: str, now: datetime) -> pb.BeginLoginResponse:
    new = begin_login(label=request.label, days=request.days or DEFAULT_DAYS, address=address, now=now)
    return pb.BeginLoginResponse(
        login=new.value,
        code=new.code,
        page=f"{settings.RAINBOW_URL}/login/{new.code}" if settings.RAINBOW_URL else "",
        expires_at=timestamp(new.expires_at),
        poll_every_seconds=POLL_EVERY_SECONDS,
    )


def collect(request: pb.CollectLoginRequest, now: datetime) -> pb.CollectLoginResponse:
    collected = collect_login(value=request.login, now=now)
    reply = pb.CollectLoginResponse(state=_STATES[collected.state])
    if collected.token:
        reply.value = collected.token.value
        reply.token.CopyFrom(token_to_message(collected.token.credential))
        reply.person = str(collected.token.credential.person)
    return reply
