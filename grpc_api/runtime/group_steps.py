"""Doing what is due for groups of jobs, on whichever server sees it first."""

import asyncio
import logging
import time
from datetime import UTC, datetime
from functools import partial

from django.db import DatabaseError

from grpc_api.runtime.thread_pools import ThreadPools
from jobs.services.group_steps import due_groups, groups_are_going, step_group
from rainbow.errors import Unavailable
from rainbow.telemetry.failures import told
from rainbow.telemetry.lines import Line, Quoted

# How often groups are polled: while some are not finished, and while there are none.
EVERY_SECONDS, IDLE_EVERY_SECONDS = 0.2, 2.0
# After a look it rests for so many times as long as that took: where many groups are going, it costs more.
REST_TIMES = 5
_log = logging.getLogger("rainbow.grpc")


async def step_groups_forever(pools: ThreadPools) -> None:
    while True:
        pause = IDLE_EVERY_SECONDS
        try:
            if await pools.read(groups_are_going):
                pause = max(EVERY_SECONDS, REST_TIMES * await _step_those_due(pools))
        except (DatabaseError, Unavailable) as error:
            _log.warning(Line("could not look after the groups of jobs", error=Quoted(told(error))))
        await asyncio.sleep(pause)


async def _step_those_due(pools: ThreadPools) -> float:
    """Each in a transaction of its own, so that other writers get their turns; returns how long finding them took."""
    began = time.monotonic()
    due = await pools.read(lambda: due_groups(now=datetime.now(UTC)))
    took = time.monotonic() - began
    for group_id in due:
        while await pools.write(partial(step_group, group_id=group_id, now=datetime.now(UTC))):
            pass
    return took
