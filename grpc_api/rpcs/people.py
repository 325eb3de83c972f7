"""What people ask about themselves, and their tokens."""

from datetime import datetime

from clusters.callers import Caller, Operator
from clusters.models import Credential, CredentialKind
from clusters.queries.people import Mine, projects_of, token_of
from clusters.services.credentials import NewCredential
from clusters.services.personal_tokens import (
    DEFAULT_DAYS,
    Wish,
    create_personal_token,
    create_project_token,
    revoke_token,
    tokens_of_person,
)
from clusters.services.projects import Change, project_managed
from grpc_api.rpcs.call import Call
from grpc_api.rpcs.messages import KINDS_ON_THE_WIRE, timestamp
from grpc_api.rpcs.server_state import ANY, PERSONAL, ServerState, bearer_claim
from rainbow.errors import PermissionDenied
from rainbow.protos import rainbow_pb2 as pb


class PeopleRpcs:
    def __init__(self, server: ServerState) -> None:
        self._server = server

    async def WhoAmI(self, request: pb.WhoAmIRequest, call: Call) -> pb.WhoAmIResponse:
        return (await self._server.read(who_am_i, request, bearer_claim(call, "", ANY), call)).reply

    async def ListTokens(self, request: pb.ListTokensRequest, call: Call) -> pb.ListTokensResponse:
        return (await self._server.read(list_tokens, request, bearer_claim(call, "", PERSONAL), call)).reply

    async def CreateToken(self, request: pb.CreateTokenRequest, call: Call) -> pb.CreateTokenResponse:
        return (await self._server.write(create, request, bearer_claim(call, "", PERSONAL), call)).reply

    async def RevokeToken(self, request: pb.RevokeTokenRequest, call: Call) -> pb.RevokeTokenResponse:
        return (await self._server.write(revoke, request, bearer_claim(call, "", PERSONAL), call)).reply


def who_am_i(request: pb.WhoAmIRequest, caller: Caller, now: datetime) -> pb.WhoAmIResponse:
    token = token_of(caller)
    return pb.WhoAmIResponse(
        kind=KINDS_ON_THE_WIRE[CredentialKind(caller.kind)],
        label=caller.label,
        cluster=caller.cluster,
        person=caller.person,
        projects=[_project(project) for project in projects_of(caller)],
        expires_at=timestamp(token.expires_at),
        reads_only=token.reads_only,
        token_id=token.id if caller.person_id else 0,
    )


def list_tokens(request: pb.ListTokensRequest, caller: Caller, now: datetime) -> pb.ListTokensResponse:
    """Raises PermissionDenied for a token that is narrowed: it does not learn what the others reach."""
    if _narrowed(caller):
        raise PermissionDenied("a token that is narrowed lists no others")
    tokens = tokens_of_person(_person(caller).user_id, now=now)
    return pb.ListTokensResponse(tokens=map(token_to_message, tokens))


def create(request: pb.CreateTokenRequest, caller: Caller, now: datetime) -> pb.CreateTokenResponse:
    """Raises PermissionDenied for a token that is narrowed: it makes none that reaches more."""
    if _narrowed(caller):
        raise PermissionDenied("a token that is narrowed makes no others")
    wish = Wish(
        label=request.label,
        days=request.days or DEFAULT_DAYS,
        clusters=tuple(dict.fromkeys(request.clusters)),
        reads_only=request.reads_only,
    )
    new = _made(request, wish, Change(by=_person(caller), now=now))
    return pb.CreateTokenResponse(value=new.value, token=token_to_message(new.credential))


def revoke(request: pb.RevokeTokenRequest, caller: Caller, now: datetime) -> pb.RevokeTokenResponse:
    """Raises PermissionDenied for a token that is narrowed, unless it revokes itself."""
    if _narrowed(caller) and request.id != caller.credential_id:
        raise PermissionDenied("a token that is narrowed revokes no others")
    change = Change(by=_person(caller), now=now, reason=request.reason)
    revoke_token(credential_id=request.id, change=change)
    return pb.RevokeTokenResponse()


def token_to_message(token: Credential) -> pb.Token:
    return pb.Token(
        id=token.id,
        label=token.label,
        project=token.project.name if token.project else "",
        clusters=sorted(scope.cluster.name for scope in token.scopes.all()),
        reads_only=token.reads_only,
        created_at=timestamp(token.created_at),
        last_used_at=timestamp(token.last_used_at),
        expires_at=timestamp(token.expires_at),
    )


def _made(request: pb.CreateTokenRequest, wish: Wish, change: Change) -> NewCredential:
    if request.for_project:
        return create_project_token(project_id=project_managed(request.project, change.by).id, wish=wish, change=change)
    return create_personal_token(wish=wish, project=request.project, change=change)


def _project(mine: Mine) -> pb.Project:
    return pb.Project(name=mine.name, lead=mine.leads, shares_jobs=mine.shares, clusters=mine.clusters)


def _narrowed(caller: Caller) -> bool:
    return bool(caller.narrowed_to or caller.scopes)


def _person(caller: Caller) -> Operator:
    assert caller.person_id is not None
    return Operator(user_id=caller.person_id, name=caller.person, request_id=caller.request_id)
