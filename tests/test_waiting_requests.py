"""A RequestJobs that waits: for jobs of its cluster and of the pools that this is in, by what the last answer said."""

import asyncio
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import pytest

from grpc_api.rpcs.call import Call
from grpc_api.rpcs.queue import AnsweredRequest, ClaimedRequest, QueueRpcs, queue_replies
from grpc_api.rpcs.server_state import Claimed
from grpc_api.runtime.wakeups import Wakeups
from rainbow.protos import rainbow_pb2 as pb
from tests.support.patience import PATIENCE_SECONDS
from tests.support.pools import pool_of

NOTHING = pb.RequestJobsResponse()
ASKED: Any = Claimed(request=pb.RequestJobsRequest(wait_seconds=300, shared=True), claim=None)  # type: ignore[arg-type]


class Queue(QueueRpcs):
    """Whose cluster alpha is in these pools at each answer, and has a job at the last."""

    def __init__(self, wakeups: Wakeups, *pools: list[str]) -> None:
        self._server: Any = SimpleNamespace(wakeups=wakeups)
        self._pools = [*pools]
        self.waits_for: list[set[str]] = []

    async def _request(self, claimed: ClaimedRequest, call: Call) -> AnsweredRequest:
        self.waits_for.append({*self._server.wakeups.queues})
        names = self._pools.pop(0)
        reply = NOTHING if self._pools else pb.RequestJobsResponse(jobids=[1])
        caller: Any = SimpleNamespace(cluster="alpha", holders=())
        return AnsweredRequest(caller=caller, reply=reply, pools=dict.fromkeys(names, 0))


@pytest.mark.parametrize(
    ("pools", "waits_for", "wakes"),
    [
        # One answer before it waits, one once it is woken: the pools are those of the answer before.
        ([["big"], ["big"], ["big"]], [{"alpha", "big"}, {"alpha", "big"}], ["big"]),
        # It asks again before it waits, since a job of the pool may have come before it waited for those.
        ([[], [], ["big"], ["big"]], [{"alpha"}, {"alpha"}, {"alpha", "big"}], ["alpha"]),
        ([["big"], [], []], [{"alpha", "big"}, {"alpha"}], []),
    ],
    ids=["the same pools", "a pool that it joined", "a pool that it left"],
)
def test_it_waits_for_jobs_of_its_pools(pools: list[list[str]], waits_for: list[set[str]], wakes: list[str]) -> None:
    async def main() -> None:
        wakeups = Wakeups()
        queue, call = Queue(wakeups, *pools), SimpleNamespace(patience=float)
        first = await queue._request(ASKED, call)  # type: ignore[arg-type]
        waiting = asyncio.create_task(queue._wait_for_jobs(ASKED, first, call))  # type: ignore[arg-type]
        for topic in wakes:
            # Until it waits, and longer.
            for _ in range(5):
                await asyncio.sleep(0)
            assert not waiting.done()
            wakeups.wake([topic])

        async with asyncio.timeout(PATIENCE_SECONDS):
            answered = await waiting

        assert [*answered.reply.jobids] == [1]
        assert queue.waits_for[1:] == waits_for

    asyncio.run(main())


@pytest.mark.parametrize(
    ("asks", "pools"),
    [
        ({"shared": True, "wait_seconds": 30}, {"big": 0}),
        ({"shared": True}, {}),
        ({"wait_seconds": 30}, {}),
    ],
    ids=["waits for theirs", "does not wait", "takes none of theirs"],
)
def test_an_answer_names_the_pools_whose_jobs_it_may_wait_for(
    alpha: Any, beta: Any, now: datetime, asks: dict[str, Any], pools: dict[str, int]
) -> None:
    pool_of("alpha", name="big", now=now)
    pool_of("beta", name="other", now=now)

    (answered,) = queue_replies([(pb.RequestJobsRequest(**asks), alpha.puller)], now)

    assert isinstance(answered, AnsweredRequest)
    assert answered.pools == pools
