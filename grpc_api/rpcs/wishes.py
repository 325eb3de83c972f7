"""What servers want of agents, told through a call that an agent keeps open."""

import asyncio
from datetime import datetime

from clusters.callers import Caller
from clusters.validation import check_range
from grpc_api.rpcs.call import Call
from grpc_api.rpcs.server_state import PULLERS, Answered, ServerState, bearer_claim
from grpc_api.runtime.wakeups import wait_for
from jobs.notify import Agent
from jobs.queries.wishes import Wanted, wishes_for
from jobs.services.wishes import check_agent, settle_wishes
from jobs.states import OutputSource, WishKind
from rainbow.protos import rainbow_pb2 as pb

MAX_WAIT_SECONDS = 300
SOURCES = {source.value: pb.OutputSource.Value(f"OUTPUT_SOURCE_{source.name}") for source in OutputSource}
KINDS = {kind: pb.Wish.Kind.Value(f"KIND_{kind.name}") for kind in WishKind}


class WishRpcs:
    def __init__(self, server: ServerState) -> None:
        self._server = server

    async def AwaitWishes(self, request: pb.AwaitWishesRequest, call: Call) -> pb.AwaitWishesResponse:
        claim = bearer_claim(call, request.cluster, PULLERS)
        # A token that may only read is no agent's.
        await self._server.caller(claim)
        check_range(request.wait_seconds, field="wait_seconds", lowest=0, highest=MAX_WAIT_SECONDS)
        if request.done:
            await self._server.write(settle, request, claim, call)
        answered = await self._server.read(tell, request, claim, call)
        if request.wait_seconds and not answered.reply.wishes:
            answered = await self._wait(request, answered.caller, call)
        call.note(wishes=len(answered.reply.wishes))
        return answered.reply

    async def _wait(
        self, request: pb.AwaitWishesRequest, caller: Caller, call: Call
    ) -> Answered[pb.AwaitWishesResponse]:
        """Reads at once, since there may be something since before the subscription, and then at each wake-up."""
        claim = bearer_claim(call, request.cluster, PULLERS)
        clock = asyncio.get_running_loop().time
        deadline = clock() + call.patience(request.wait_seconds)
        with self._server.wakeups.subscribe(Agent(caller.cluster_id, request.agent), *caller.holders) as wakeup:
            while True:
                wakeup.clear()
                answered = await self._server.read(tell, request, claim, call)
                if answered.reply.wishes or clock() >= deadline or self._server.wakeups.closed:
                    return answered
                await wait_for(wakeup, at_most=deadline - clock())


def settle(request: pb.AwaitWishesRequest, caller: Caller, now: datetime) -> None:
    settle_wishes(caller=caller, agent=request.agent, done={one.id: one.error for one in request.done}, now=now)


def tell(request: pb.AwaitWishesRequest, caller: Caller, now: datetime) -> pb.AwaitWishesResponse:
    check_agent(caller=caller, agent=request.agent)
    wishes = wishes_for(caller=caller, agent=request.agent, now=now)
    return pb.AwaitWishesResponse(wishes=[_message(wish) for wish in wishes])


def _message(wish: Wanted) -> pb.Wish:
    content = dict(wish.content)
    if "source" in content:
        content["source"] = SOURCES[content["source"]]
    return pb.Wish(id=wish.id, kind=KINDS[wish.kind], jobids=wish.job_ids, attempt=wish.attempt, **content)
