"""Looking, every few seconds, for agents that fell silent."""

import asyncio
import logging
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from django.db import DatabaseError

from grpc_api.runtime.thread_pools import ThreadPools
from jobs.services.expire import EVERY, OUTAGE, Expiry, expire_further, expire_leases
from rainbow.errors import Unavailable

# How often it is noticed that this process runs.
_TICK_SECONDS = 1
_log = logging.getLogger("rainbow.grpc")


class Presence:
    """Since when this server can have heard its callers without a break: neither stopped nor without its database."""

    def __init__(self) -> None:
        self.since = datetime.now(UTC)

    async def during(self, work: Coroutine[Any, Any, None]) -> None:
        """Does the work, and looks meanwhile whether the process stands still."""
        task, seen_at = asyncio.create_task(work), datetime.now(UTC)
        try:
            while not task.done():
                await asyncio.wait({task}, timeout=_TICK_SECONDS)
                if abs(datetime.now(UTC) - seen_at) >= OUTAGE / 2:
                    self.begin_anew()
                seen_at = datetime.now(UTC)
        finally:
            task.cancel()
        task.result()

    def begin_anew(self) -> None:
        self.since = datetime.now(UTC)


async def expire_leases_forever(pools: ThreadPools) -> None:
    """Ends, for ever, the leases that ran out. Of many servers the database lets one look at a time."""
    presence = Presence()
    while True:
        await presence.during(asyncio.sleep(EVERY.total_seconds()))
        try:
            await presence.during(_look(pools, presence))
        except (DatabaseError, Unavailable) as error:
            _log.warning("could not look for silent agents error=%r", str(error))
            presence.begin_anew()


async def _look(pools: ThreadPools, presence: Presence) -> None:
    """One look, in parts between which other writers have their turn; what is left after EVERY is for the next."""
    began = now = datetime.now(UTC)
    look = await pools.write(partial(expire_leases, now=now, present_since=presence.since))
    while look:
        _tell(look)
        now = datetime.now(UTC)
        if not look.more or not timedelta(0) <= now - began < EVERY:
            return
        look = await pools.write(partial(expire_further, look, now=now))


def _tell(look: Expiry) -> None:
    if look.held_back:
        _log.warning("most clusters are silent at once: the leases of %d run on for now", len(look.held_back))
    if look.jobs:
        _log.warning("agents fell silent requeued=%d cancelled=%d lost=%d", look.requeued, look.cancelled, look.lost)
