"""Ending the leases of silent agents, every few seconds."""

import asyncio
import logging
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from django.db import Error

from grpc_api.runtime.metrics import LEASES_EXPIRED
from grpc_api.runtime.thread_pools import ThreadPools
from jobs.queries.clocks import by_both_clocks
from jobs.services.expire import EVERY, OUTAGE, Expiry, expire_further, expire_leases
from rainbow.errors import Unavailable
from rainbow.telemetry.failures import told
from rainbow.telemetry.lines import Line, Quoted

# Notices a process that stood still, stopped or suspended.
_TICK_SECONDS = 1
_log = logging.getLogger("rainbow.grpc")


class Presence:
    """Since when this server could answer its callers without a break: running, and with its database."""

    def __init__(self) -> None:
        self.since = datetime.now(UTC)

    async def during(self, work: Coroutine[Any, Any, None]) -> None:
        """Awaits the work, and begins anew when the process stood still meanwhile."""
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
    """Ends leases that ran out until it is cancelled. Of several servers the database lets one do so at a time."""
    presence = Presence()
    while True:
        await presence.during(asyncio.sleep(EVERY.total_seconds()))
        try:
            await presence.during(_expire(pools, presence))
        except (Error, Unavailable) as error:
            _log.warning(Line("could not end leases", error=Quoted(told(error))))
            presence.begin_anew()


async def _expire(pools: ThreadPools, presence: Presence) -> None:
    """Works in parts, so that other writers get their turns; what is left after EVERY is left to the next round."""
    began = datetime.now(UTC)
    expiry = await pools.write(partial(end_leases, present_since=presence.since))
    while expiry:
        _count(expiry)
        _log_expiry(expiry)
        now = datetime.now(UTC)
        if not expiry.more or not timedelta(0) <= now - began < EVERY:
            return
        expiry = await pools.write(partial(_end_further_leases, expiry))


def end_leases(*, present_since: datetime) -> Expiry | None:
    return expire_leases(now=by_both_clocks(datetime.now(UTC)), present_since=present_since)


def _end_further_leases(look: Expiry) -> Expiry:
    return expire_further(look, now=by_both_clocks(datetime.now(UTC)))


def _count(ended: Expiry) -> None:
    LEASES_EXPIRED.labels("requeued").inc(ended.requeued)
    LEASES_EXPIRED.labels("cancelled").inc(ended.cancelled)
    LEASES_EXPIRED.labels("lost").inc(ended.lost)


def _log_expiry(ended: Expiry) -> None:
    if ended.held_back:
        event = "most clusters are silent at once: their leases run on for now"
        _log.warning(Line(event, clusters=len(ended.held_back)))
    if ended.jobs:
        counts = {"requeued": ended.requeued, "cancelled": ended.cancelled, "lost": ended.lost}
        _log.warning(Line("agents fell silent", **counts))
