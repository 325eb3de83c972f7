"""Releasing and cancelling jobs that wait for others, where their ends have left that to be done."""

import asyncio
import logging
from datetime import UTC, datetime, timedelta

from django.db import Error

from grpc_api.runtime.due import hearing_of
from grpc_api.runtime.thread_pools import ThreadPools
from jobs.left_to_do import Work
from jobs.services.dependents import look_for_missed_ends, settle_ended_parents, some_have_ended
from rainbow.errors import Unavailable
from rainbow.telemetry.failures import told
from rainbow.telemetry.lines import Line, Quoted

# How often ends are polled that other processes noted. Those of this one are heard of, and seen a rest later at most.
_EVERY_SECONDS, _REST_SECONDS = 1.0, 0.05
_LOOK_FOR_MISSED_ENDS_EVERY = timedelta(minutes=10)
_log = logging.getLogger("rainbow.grpc")


async def release_forever(pools: ThreadPools) -> None:
    look_at = datetime.now(UTC)
    with hearing_of(Work.PARENTS) as ended:
        while True:
            try:
                if datetime.now(UTC) >= look_at:
                    await pools.write(look_for_missed_ends)
                    look_at = datetime.now(UTC) + _LOOK_FOR_MISSED_ENDS_EVERY
                await _settle(pools)
            except (Error, Unavailable) as error:
                _log.warning(Line("could not release jobs that wait for others", error=Quoted(told(error))))
            await asyncio.sleep(_REST_SECONDS)
            await ended.wait(at_most=_EVERY_SECONDS)
            ended.take()


async def _settle(pools: ThreadPools) -> None:
    """In parts, so that other writers get their turns; what another has locked is left to the next round."""
    while await pools.read(some_have_ended):
        settled = await pools.write(lambda: settle_ended_parents(now=datetime.now(UTC)))
        if not settled:
            return
        _log.info(Line("settled jobs that waited for others", jobs=settled))
