from datetime import datetime

from clusters.callers import Caller
from grpc_api.rpcs.call import Call
from grpc_api.rpcs.jobs import last_id
from grpc_api.rpcs.messages import group_to_message, messages_that_fit
from grpc_api.rpcs.server_state import ANY, ServerState, bearer_claim
from jobs.queries.groups import get_group, list_groups
from jobs.services.cancel_group import cancel_group
from rainbow.errors import NO_SUCH_GROUP, NotFound
from rainbow.protos import rainbow_pb2 as pb


class GroupRpcs:
    def __init__(self, server: ServerState) -> None:
        self._server = server

    async def GetGroup(self, request: pb.GetGroupRequest, call: Call) -> pb.GetGroupResponse:
        claim = bearer_claim(call, request.cluster, ANY)
        return (await self._server.read(get, request, claim, call)).reply

    async def CancelGroup(self, request: pb.CancelGroupRequest, call: Call) -> pb.CancelGroupResponse:
        claim = bearer_claim(call, request.cluster, ANY)
        return (await self._server.write(cancel, request, claim, call)).reply

    async def ListGroups(self, request: pb.ListGroupsRequest, call: Call) -> pb.ListGroupsResponse:
        claim = bearer_claim(call, request.cluster, ANY)
        return (await self._server.read(list_page, request, claim, call)).reply


def get(request: pb.GetGroupRequest, caller: Caller, now: datetime) -> pb.GetGroupResponse:
    return pb.GetGroupResponse(group=_group(request.id, caller))


def cancel(request: pb.CancelGroupRequest, caller: Caller, now: datetime) -> pb.CancelGroupResponse:
    cancel_group(by=caller, group_id=request.id, reason=request.reason, now=now)
    return pb.CancelGroupResponse(group=_group(request.id, caller))


def _group(group_id: int, caller: Caller) -> pb.JobGroup:
    """Raises NotFound."""
    group = get_group(by=caller, group_id=group_id)
    if group is None:
        raise NotFound(NO_SUCH_GROUP, field="id")
    return group_to_message(group)


def list_page(request: pb.ListGroupsRequest, caller: Caller, now: datetime) -> pb.ListGroupsResponse:
    page = list_groups(by=caller, going=request.going, size=request.page_size, last=last_id(request.page_token))
    groups = list(messages_that_fit(map(group_to_message, page.groups)))
    more = page.more or len(groups) < len(page.groups)
    return pb.ListGroupsResponse(groups=groups, next_page_token=str(groups[-1].id) if more and groups else "")
