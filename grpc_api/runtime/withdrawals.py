"""Waking the calls of those from whom something was taken, on whichever server: they are admitted anew then."""

import asyncio
import logging
from functools import partial

from django.db import Error

from clusters.queries.withdrawals import Withdrawn, withdrawn_since
from grpc_api.runtime.thread_pools import ThreadPools
from grpc_api.runtime.wakeups import Wakeups
from rainbow.errors import Unavailable
from rainbow.telemetry.failures import told
from rainbow.telemetry.lines import Line, Quoted

# With the read itself, a call that waits ends within a second.
POLL_EVERY_SECONDS = 0.5
_log = logging.getLogger("rainbow.grpc")


async def follow_withdrawals(wakeups: Wakeups, pools: ThreadPools) -> None:
    known, failing = Withdrawn(), False
    while True:
        await wakeups.until_subscribed()
        try:
            known = await pools.read(partial(withdrawn_since, seen=known.ids))
            wakeups.wake(known.holders)
            if failing:
                # What was taken first may be forgotten by now.
                wakeups.wake_all()
            failing = False
        except (Error, Unavailable) as error:
            if not failing:
                _log.warning(Line("could not read what was taken from callers", error=Quoted(told(error))))
            failing = True
        await asyncio.sleep(POLL_EVERY_SECONDS)
