"""Looking, every few seconds, for agents that fell silent."""

import asyncio
import logging
from datetime import UTC, datetime
from functools import partial

from django.db import DatabaseError

from grpc_api.lanes import Lanes
from jobs.services import expire_leases
from jobs.services.expire import EVERY

_log = logging.getLogger("rainbow.grpc")


async def end_leases(lanes: Lanes) -> None:
    """Ends, for ever, the leases that ran out. Of many servers the database lets one look at a time."""
    while True:
        await asyncio.sleep(EVERY.total_seconds())
        try:
            expiry = await lanes.write(partial(expire_leases, now=datetime.now(UTC)))
        except DatabaseError as error:
            _log.warning("could not look for silent agents error=%r", str(error))
            continue
        if expiry and expiry.held_back:
            _log.warning("most agents are silent at once: their leases run on for now")
        elif expiry and expiry.jobs:
            _log.warning(
                "agents fell silent requeued=%d cancelled=%d lost=%d", expiry.requeued, expiry.cancelled, expiry.lost
            )
