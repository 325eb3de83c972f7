"""Pruning old records, every hour, beside the calls."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import uuid4

from django.db import Error

from grpc_api.runtime.thread_pools import ThreadPools
from jobs.services.retention import HELD_FOR, end_turn, is_due, put_off, renew_turn, retention_steps, take_turn
from rainbow.errors import Unavailable
from rainbow.telemetry.failures import told
from rainbow.telemetry.lines import Line, Quoted

_LOOK_EVERY = timedelta(minutes=1)
_RENEW_EVERY = HELD_FOR / 4
# After each step it rests for so many times as long as that took: most of a writer's time is left to the calls.
_REST_TIMES, _REST_AT_LEAST_SECONDS, _REST_AT_MOST_SECONDS = 4, 0.02, 10.0
_PUT_OFF = "nothing was pruned for a day, unless the clock is wrong: old records are deleted in an hour"
_log = logging.getLogger("rainbow.grpc")


async def prune_forever(pools: ThreadPools, *, days: int) -> None:
    """Deletes what is older than so many days; 0 deletes nothing. Of several servers the database lets one do so."""
    if not days:
        return
    _log.info("records of jobs that ended more than %d days ago are deleted (RAINBOW_RETENTION_DAYS)", days)
    while True:
        try:
            if await pools.read(partial(is_due, now=datetime.now(UTC))):
                await Turn(pools, days=days).run()
        except (Error, Unavailable) as error:
            _log.warning(Line("could not prune; what is left is pruned later", error=Quoted(told(error))))
        await asyncio.sleep(_LOOK_EVERY.total_seconds())


class Turn:
    """One server's turn, which it keeps by renewing its lease. What a dead server left, the next one's turn deletes."""

    def __init__(self, pools: ThreadPools, *, days: int) -> None:
        self._pools = pools
        self._days = days
        self._holder = str(uuid4())
        self._renewed_at = datetime.now(UTC)
        self._deleted = Counter[str]()

    async def run(self) -> None:
        began, now = time.monotonic(), datetime.now(UTC)
        if await self._pools.write(partial(put_off, now=now)):
            _log.warning(_PUT_OFF)
            return
        if not await self._pools.write(partial(take_turn, holder=self._holder, now=now)):
            return
        try:
            if await self._delete_all(now):
                await self._pools.write(partial(end_turn, holder=self._holder, now=datetime.now(UTC)))
        finally:
            if self._deleted:
                _log.info(Line("pruned", **dict(sorted(self._deleted.items())), seconds=time.monotonic() - began))

    async def _delete_all(self, now: datetime) -> bool:
        """False when another server has taken over."""
        for step in retention_steps(days=self._days, now=now):
            while deleted := await self._timed(step.work):
                self._deleted[step.what] += deleted
                if not await self._renew():
                    return False
        return True

    async def _timed(self, work: Callable[[], int]) -> int:
        began = time.monotonic()
        deleted = await self._pools.write(work)
        if deleted:
            rest = _REST_TIMES * (time.monotonic() - began)
            await asyncio.sleep(min(max(rest, _REST_AT_LEAST_SECONDS), _REST_AT_MOST_SECONDS))
        return deleted

    async def _renew(self) -> bool:
        now = datetime.now(UTC)
        if now - self._renewed_at < _RENEW_EVERY:
            return True
        self._renewed_at = now
        return await self._pools.write(partial(renew_turn, holder=self._holder, now=now))
