"""Placing jobs that servers of an earlier release queued, failing those that expired, queuing those that
are tried again once that is due, cancelling those whose person or
project may no longer use what they were submitted to, letting clusters that gave jobs
back have those that no other takes, deleting empty queues.
"""

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from functools import partial

from django.db import Error

from clusters.services.withdrawals import forget_withdrawals
from grpc_api.runtime.metrics import JOBS_EXPIRED
from grpc_api.runtime.thread_pools import ThreadPools
from jobs.queries.clocks import by_both_clocks
from jobs.queries.expired import MAX_EXPIRED, expired_jobs
from jobs.queries.queue import waits_for_a_queue
from jobs.queries.relays import left_relays_exist
from jobs.queries.wishes import old_wishes_exist
from jobs.services.empty_queues import delete_empty_queues
from jobs.services.fail_expired import fail_expired
from jobs.services.give_back import some_may_try_again, try_again
from jobs.services.placing import place_waiting_jobs
from jobs.services.relays import end_left_relays
from jobs.services.retry import queue_due_retries, retries_are_due
from jobs.services.wishes import forget_wishes
from jobs.services.withdrawn import settle_withdrawal, withdrawals_are_due
from rainbow.errors import Unavailable
from rainbow.telemetry.failures import told
from rainbow.telemetry.lines import Line, Quoted

_EVERY = timedelta(seconds=5)
_DELETE_EVERY = timedelta(hours=1)
_log = logging.getLogger("rainbow.grpc")


async def keep_queues_forever(pools: ThreadPools) -> None:
    delete_at = datetime.now(UTC)
    while True:
        try:
            pause = await _step_each(pools)
            if await pools.read(some_may_try_again):
                await pools.write(partial(try_again, now=datetime.now(UTC)))
            if await pools.read(lambda: old_wishes_exist(now=datetime.now(UTC))):
                await pools.write(partial(forget_wishes, now=datetime.now(UTC)))
            if await pools.read(lambda: left_relays_exist(now=datetime.now(UTC))):
                await pools.write(partial(end_left_relays, now=datetime.now(UTC)))
            if datetime.now(UTC) >= delete_at:
                await pools.write(partial(delete_empty_queues, now=datetime.now(UTC)))
                await pools.write(partial(forget_withdrawals, now=datetime.now(UTC)))
                delete_at = datetime.now(UTC) + _DELETE_EVERY
        except (Error, Unavailable) as error:
            pause = _EVERY
            _log.warning(Line("could not look after the queues", error=Quoted(told(error))))
        await asyncio.sleep(pause.total_seconds())


async def _step_each(pools: ThreadPools) -> timedelta:
    """One step of each walk in turn, so that a long one holds up no other, nor does one that fails. Returns how long to
    rest then.
    """
    is_more = has_failed = False
    for step in (_place, _fail_expired, _queue_retries, _settle_withdrawals):
        try:
            is_more |= await step(pools)
        except Error as error:
            has_failed = True
            _log.warning(Line("could not look after the queues", error=Quoted(told(error))))
    return timedelta() if is_more and not has_failed else _EVERY


# A step is a short transaction, so that other writers get their turns; it returns whether there is more to do at once.


async def _place(pools: ThreadPools) -> bool:
    """Of several servers, those that find all such jobs locked by another leave them to it."""
    if not await pools.read(waits_for_a_queue):
        return False
    placed = await pools.write(partial(place_waiting_jobs, now=datetime.now(UTC)))
    if placed:
        _log.info(Line("placed jobs of an earlier release", jobs=placed))
    return placed > 0


async def _fail_expired(pools: ThreadPools) -> bool:
    """What another has locked is left to the next round."""
    expired = await pools.read(lambda: expired_jobs(now=by_both_clocks(datetime.now(UTC))))
    if not expired:
        return False
    failed = await pools.write(partial(fail_expired, expired=expired, now=datetime.now(UTC)))
    JOBS_EXPIRED.inc(failed)
    if failed:
        _log.info(Line("jobs expired while they waited", jobs=failed))
    return failed == len(expired) == MAX_EXPIRED


async def _queue_retries(pools: ThreadPools) -> bool:
    """What another has locked is left to the next round."""
    if not await pools.read(lambda: retries_are_due(now=by_both_clocks(datetime.now(UTC)))):
        return False
    queued = await pools.write(lambda: queue_due_retries(now=by_both_clocks(datetime.now(UTC))))
    if queued:
        _log.info(Line("queued jobs that are tried again", jobs=queued))
    return queued > 0


async def _settle_withdrawals(pools: ThreadPools) -> bool:
    if not await pools.read(lambda: withdrawals_are_due(now=datetime.now(UTC))):
        return False
    cancelled = await pools.write(lambda: settle_withdrawal(now=datetime.now(UTC)))
    if cancelled:
        _log.info(Line("cancelled jobs whose submitters may no longer use their clusters", jobs=cancelled))
    return cancelled is not None
