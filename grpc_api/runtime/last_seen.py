"""Last-seen notes of credentials and clusters, written beside the calls: no call waits for one or fails with it."""

import asyncio
import logging
from datetime import datetime
from functools import partial

from django.db import Error

from clusters.bounds import Bounds
from clusters.callers import Caller
from clusters.services.authenticate import note_visits
from grpc_api.runtime.thread_pools import ThreadPools
from rainbow.errors import Unavailable
from rainbow.telemetry.failures import told
from rainbow.telemetry.lines import Line, Quoted

_log = logging.getLogger("rainbow.grpc")


class LastSeenNotes:
    def __init__(self, pools: ThreadPools) -> None:
        self._pools = pools
        self._writing: dict[int, asyncio.Task[None]] = {}

    def note(self, caller: Caller, now: datetime, *, asked: Bounds | None) -> None:
        """`asked` is what a cluster that asks for jobs can take; None when it asks for something else."""
        used = [caller.credential_id] if caller.use_is_worth_noting(now) else []
        asking = {caller.cluster_id: asked} if asked and caller.asking_is_worth_noting(now) else {}
        if (used or asking) and caller.credential_id not in self._writing:
            task = asyncio.create_task(self._write(used, asking, now))
            self._writing[caller.credential_id] = task
            task.add_done_callback(lambda _: self._writing.pop(caller.credential_id))

    async def _write(self, used: list[int], asking: dict[int, Bounds], now: datetime) -> None:
        try:
            await self._pools.write(partial(note_visits, used=used, asked=asking, now=now))
        except (Error, Unavailable) as error:
            _log.warning(Line("could not write a last-seen note", error=Quoted(told(error))))
