"""Doing what is due for groups of jobs, on whichever server sees it first."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Collection
from datetime import UTC, datetime
from functools import partial

from django.db import Error, InterfaceError, OperationalError

from grpc_api.runtime.due import Due, hearing_of
from grpc_api.runtime.thread_pools import ThreadPools
from jobs.left_to_do import Work
from jobs.services.group_steps import due_groups, groups_are_going, step_group
from rainbow.errors import Unavailable
from rainbow.telemetry.failures import told
from rainbow.telemetry.lines import Line, Quoted

# How often all groups that are not finished are polled, for what other processes did: while there are some, and none.
# What this process did is done at once.
EVERY_SECONDS, IDLE_EVERY_SECONDS = 0.5, 2.0
# After finding groups it rests for so many times as long as that took: where many are going, it costs more.
REST_TIMES = 5
# How often groups that became due meanwhile join those that are being stepped.
JOIN_EVERY_SECONDS = 1.0
_log = logging.getLogger("rainbow.grpc")


async def step_groups_forever(pools: ThreadPools) -> None:
    with hearing_of(Work.GROUPS) as moved:
        poll_at = time.monotonic()
        while True:
            pause = IDLE_EVERY_SECONDS
            try:
                if time.monotonic() >= poll_at:
                    if await pools.read(groups_are_going):
                        pause = max(EVERY_SECONDS, REST_TIMES * await _step_those_due(pools))
                    poll_at = time.monotonic() + pause
                else:
                    await _step_moved(pools, moved)
            except (Error, Unavailable) as error:
                poll_at = time.monotonic() + IDLE_EVERY_SECONDS
                _log.warning(Line("could not look after the groups of jobs", error=Quoted(told(error))))
            await moved.wait(at_most=poll_at - time.monotonic())


async def _step_moved(pools: ThreadPools, moved: Due) -> None:
    if group_ids := moved.take():
        await asyncio.sleep(REST_TIMES * await _step_those_due(pools, among=group_ids))


async def _step_those_due(pools: ThreadPools, *, among: Collection[int] | None = None) -> float:
    """Each step is a transaction of its own, so that other writers get their turns, and each group does one in turn, so
    that a large one holds up no other. Returns how long finding them took. Raises what a step raised, after the others.
    """
    failure: Exception | None = None
    found, took = await _find_due(pools, among=among)
    find_at = time.monotonic() + max(JOIN_EVERY_SECONDS, REST_TIMES * took)
    due = deque(found)
    while due:
        group_id = due.popleft()
        try:
            if await pools.write(partial(step_group, group_id=group_id, now=datetime.now(UTC))):
                due.append(group_id)
        except (OperationalError, InterfaceError, Unavailable):
            # Of the database, not of this group.
            raise
        except Exception as error:
            failure = error
        if due and time.monotonic() >= find_at:
            # Else as many large ones as one look finds would hold up all others.
            found, took = await _find_due(pools, besides=due)
            due += found
            find_at = time.monotonic() + max(JOIN_EVERY_SECONDS, REST_TIMES * took)
    if failure:
        raise failure
    return took


async def _find_due(
    pools: ThreadPools, *, among: Collection[int] | None = None, besides: Collection[int] = ()
) -> tuple[list[int], float]:
    """And in how many seconds."""
    began = time.monotonic()
    due = await pools.read(lambda: due_groups(among=among, besides=besides, now=datetime.now(UTC)))
    return due, time.monotonic() - began
